// SPDX-License-Identifier: Apache-2.0

package part

import (
	"bytes"
	"fmt"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/forebay-io/forebay"
)

// Compression is how the bytes of a part are packed.
type Compression string

// The compressions.
const (
	None Compression = "none"
	Gzip Compression = "gzip"
	Zstd Compression = "zstd"
)

// PackedInside says that files of a format that packs its own pages are not compressed once more.
func PackedInside(format string) error {
	const cure = "leave it out, and give the format a compression instead"
	return fmt.Errorf("compression: %s files are compressed inside; %s", format, cure)
}

// extension is how names of such files end.
func (c Compression) extension() string {
	switch c {
	case Gzip:
		return ".gz"
	case Zstd:
		return ".zst"
	default:
		return ""
	}
}

// The sizes of what is written at once. Each piece of a compressed file is a member of its own, so a larger one packs
// better.
const (
	pieceDefault = 256 * forebay.KiB
	packedPiece  = forebay.MiB
)

func (c Compression) piece() forebay.Bytes {
	if c == Gzip || c == Zstd {
		return packedPiece
	}
	return pieceDefault
}

// packer makes complete members of gzip or frames of zstd. All parts of a lane share one, since none of them has
// anything unfinished in it.
//
// Concurrency: one goroutine at a time.
type packer struct {
	out  bytes.Buffer
	gzip *gzip.Writer
	zstd *zstd.Encoder
	// frame is the last result of zstd.
	frame []byte
}

func newPacker(c Compression) (*packer, error) {
	p := &packer{}
	var err error
	switch c {
	case None:
	case Gzip:
		p.gzip = gzip.NewWriter(&p.out)
	case Zstd:
		p.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	}
	return p, err
}

// pack returns data as a piece of a file, valid until the next call.
func (p *packer) pack(data []byte) ([]byte, error) {
	switch {
	case p.gzip != nil:
		p.out.Reset()
		p.gzip.Reset(&p.out)
		if _, err := p.gzip.Write(data); err != nil {
			return nil, err
		}
		err := p.gzip.Close()
		return p.out.Bytes(), err
	case p.zstd != nil:
		p.frame = p.zstd.EncodeAll(data, p.frame[:0])
		return p.frame, nil
	default:
		return data, nil
	}
}
