// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"

	"github.com/forebay-io/forebay/internal/fault"
)

// formatVersion is pinned: a newer Pebble library must not raise, by itself, what is on disk.
const formatVersion = pebble.FormatValueSeparation

// Defaults and limits of Config.
const (
	memTableSizeDefault = 16 << 20
	memTableSizeMin     = 64 << 10
	memTableSizeMax     = 1 << 30
	cacheSizeDefault    = 8 << 20
	diskReserveDefault  = 256 << 20
	openFilesMax        = 256
	memTablesMax        = 2
	l0SublevelsMax      = 20
	l0SublevelsCompact  = 8
	// Fewer and larger files, and blocks, than Pebble's own: rows are written in bulk far more often than one is read,
	// and each file costs a sync. Files of the levels below the first are up to eight times as large.
	fileSizeFirst = 8 << 20
	blockSize     = 16 << 10
	// baseSize is what the first sorted level holds before there is a second one, which has everything rewritten.
	baseSize = 256 << 20
)

// Config says which directory is opened and how much memory it may take. Sizes are bytes; zero is the default.
type Config struct {
	// Dir is the state directory; it is made if it is missing.
	Dir string
	// FS is the file system; nil is that of the operating system.
	FS vfs.FS
	// MemTableSize is how much is kept in memory before it becomes a file: 64 KiB to 1 GiB, default 16 MiB.
	MemTableSize int64
	// CacheSize is the block cache, default 8 MiB.
	CacheSize int64
	// DiskReserve is the free space below which writes are refused, default 256 MiB.
	DiskReserve int64
	// FreeSpace measures the free space of a directory; nil asks the file system.
	FreeSpace func(dir string) (int64, error)
	// Logger gets state changes; nil is silence.
	Logger *slog.Logger
	// UnsafeNetworkDir allows a directory on a network file system.
	UnsafeNetworkDir bool
	// Command is the command line that LOCK shows.
	Command string
	// Socket is the path that LOCK shows, where the owner can be asked.
	Socket string
	// Address is what LOCK shows of where the owner serves its tables on the network; empty where it does not.
	Address string
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	var problems []error
	if c.Dir == "" {
		problems = append(problems, errors.New("Dir is empty: name a state directory"))
	}
	if c.MemTableSize != 0 && (c.MemTableSize < memTableSizeMin || c.MemTableSize > memTableSizeMax) {
		problems = append(problems, fmt.Errorf("MemTableSize is %d: allowed are %d to %d",
			c.MemTableSize, memTableSizeMin, memTableSizeMax))
	}
	if c.CacheSize < 0 {
		problems = append(problems, fmt.Errorf("CacheSize is %d: allowed are 0 and more", c.CacheSize))
	}
	if c.DiskReserve < 0 {
		problems = append(problems, fmt.Errorf("DiskReserve is %d: allowed are 0 and more", c.DiskReserve))
	}
	return errors.Join(problems...)
}

func (c Config) withDefaults() Config {
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.MemTableSize == 0 {
		c.MemTableSize = memTableSizeDefault
	}
	if c.CacheSize == 0 {
		c.CacheSize = cacheSizeDefault
	}
	if c.DiskReserve == 0 {
		c.DiskReserve = diskReserveDefault
	}
	return c
}

// Store is an open state directory.
//
// Concurrency: all methods are safe.
type Store struct {
	db      *pebble.DB
	disk    *diskFS
	space   *space
	poison  *poison
	lock    *dirLock
	dir     string
	workers sync.WaitGroup

	memTableSize int64

	closing chan struct{} // closed when the last user has left
	applies chan *Batch   // unbuffered: a batch is with its caller or with an applier
	syncs   syncQueue
	stall   stall

	started  atomic.Int64 // applies handed to Pebble
	finished atomic.Int64 // applies that came back
	clean    atomic.Int64 // started, when nothing was left to sync
	groups   atomic.Int64

	users     atomic.Int64
	closed    atomic.Bool
	idle      chan struct{} // capacity 1: the last user has left a closed store
	closeOnce sync.Once
	closeErr  error
}

// Open takes the state directory, makes it if it is missing, and recovers what is in it. What was synced is there;
// a torn end of the log is cut, damage before that end is refused.
//
// Errors: *InUseError if another process (or this one) owns it; ErrPoisoned if a write failed.
// Blocking: on the disk; ctx bounds waiting for the name of the owner only.
func Open(ctx context.Context, config Config) (*Store, error) {
	// ST5: what can be refused is refused before anything is made.
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	config = config.withDefaults()
	dir := config.FS.PathJoin(config.Dir)
	if vfs.Root(config.FS) == vfs.Default {
		abs, err := filepath.Abs(config.Dir)
		if err != nil {
			return nil, fmt.Errorf("open store %s: %w", config.Dir, err)
		}
		dir = abs
	}
	l := layout{fs: config.FS, dir: dir}
	if !config.UnsafeNetworkDir {
		if err := l.refuseNetwork(fsType); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
	}
	if err := l.makeDir(dir); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	lock, err := lockDir(ctx, l, config)
	if err != nil {
		return nil, err
	}
	fault.Hit(fault.DirectoryLocked)
	s, err := openLocked(l, lock, config)
	if err != nil {
		// Of a poisoned store a goroutine may still be inside Pebble: the directory stays locked.
		if !errors.Is(err, ErrPoisoned) {
			err = errors.Join(err, lock.release())
		}
		return nil, fmt.Errorf("open store %s: %w", config.Dir, err)
	}
	fault.Hit(fault.StoreOpened)
	return s, nil
}

func openLocked(l layout, lock *dirLock, config Config) (*Store, error) {
	fresh, err := l.prepare()
	if err != nil {
		return nil, err
	}
	p := newPoison(config.Logger)
	s := &Store{
		disk:   &diskFS{FS: config.FS, poison: p},
		space:  newSpace(l.dir, config, config.FS),
		poison: p,
		lock:   lock,
		dir:    l.dir,

		memTableSize: config.MemTableSize,

		closing: make(chan struct{}),
		applies: make(chan *Batch),
		syncs:   syncQueue{wake: make(chan struct{}, 1)},
		idle:    make(chan struct{}, 1),
	}
	s.disk.creating.Store(fresh)
	opened := make(chan error, 1)
	var opening sync.WaitGroup
	opening.Go(func() { s.runOpen(l.storeDir(), options(config, s), opened) })
	select {
	case err = <-opened:
		opening.Wait()
	case <-p.done:
		return nil, p.err
	}
	if err != nil {
		return nil, err
	}
	s.disk.creating.Store(false)
	if fresh {
		if err := l.finish(); err != nil {
			return nil, errors.Join(err, s.closePebble())
		}
	}
	s.workers.Go(s.runSyncer)
	for i := range s.stall.applies {
		s.workers.Go(func() { s.runApplier(&s.stall.applies[i]) })
	}
	return s, nil
}

// compression is none where data is written first, and fast below: what is overwritten or moved soon is not
// worth the time, and the row batches of logs, whose values stay where they were written first, are compact.
func compression() pebble.DBCompressionSettings {
	settings := pebble.DBCompressionFastest
	settings.Name = "forebay"
	settings.Levels[0] = pebble.DBCompressionNone.Levels[0]
	return settings
}

// separatedMin is the size from which a value is kept beside the sorted files: the row batches of logs are,
// rows of key tables are not. A separated value is written once, and not again by every compaction.
const separatedMin = 8 << 10

// separation has values rewritten only when a third of a file is garbage, as after a log was trimmed.
func separation() pebble.ValueSeparationPolicy {
	return pebble.ValueSeparationPolicy{
		Enabled: true, MinimumSize: separatedMin, MaxBlobReferenceDepth: 100,
		RewriteMinimumAge: time.Minute, TargetGarbageRatio: 0.33,
	}
}

// runOpen opens Pebble for a caller that stops waiting when the store is poisoned.
func (s *Store) runOpen(dir string, opts *pebble.Options, opened chan<- error) {
	defer s.recoverPebble()
	if s.disk.creating.Load() {
		if err := markFormat(s.disk, dir); err != nil {
			opened <- err
			return
		}
	}
	db, err := pebble.Open(dir, opts)
	s.db = db
	opened <- err
}

// markFormat says in a new directory, by the name that Pebble looks for, which format it has. Without the mark
// Pebble makes the directory in its oldest format and raises it step by step, and begins its first log before
// that: a log of an older format hides damage in its middle.
func markFormat(fs vfs.FS, dir string) error {
	marker, _, err := atomicfs.LocateMarker(fs, dir, "format-version")
	if err != nil {
		return err
	}
	return errors.Join(marker.Move(formatVersion.String()), marker.Close())
}

func options(config Config, s *Store) *pebble.Options {
	logger := pebbleLogger{poison: s.poison, logger: config.Logger}
	opts := &pebble.Options{
		FS:                          s.disk,
		Logger:                      logger,
		EventListener:               logger.listener(),
		FormatMajorVersion:          formatVersion,
		MemTableSize:                uint64(config.MemTableSize),
		MemTableStopWritesThreshold: memTablesMax,
		// Pebble takes the memtables out of the cache's size; without them on top nothing would be left of it.
		CacheSize:             config.CacheSize + config.MemTableSize,
		MaxOpenFiles:          openFilesMax,
		L0CompactionThreshold: l0SublevelsCompact,
		L0StopWritesThreshold: l0SublevelsMax,
		LBaseMaxBytes:         baseSize,
	}
	for i := range opts.Levels {
		opts.TargetFileSizes[i] = fileSizeFirst << min(i, 3)
		opts.Levels[i].BlockSize = blockSize
	}
	opts.ApplyCompressionSettings(compression)
	opts.Experimental.ValueSeparationPolicy = separation
	for i := range opts.Levels[:len(opts.Levels)-1] {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return opts
}

// Dir returns the absolute path of the state directory.
func (s *Store) Dir() string { return s.dir }

// Err returns nil while writes can succeed, else why they cannot: ErrPoisoned, ErrStalled, ErrNoSpace or ErrClosed.
func (s *Store) Err() error {
	if err := s.acquire(); err != nil {
		return err
	}
	defer s.release()
	if err := s.stall.check(time.Now()); err != nil {
		return err
	}
	return s.space.check(0)
}

// Poisoned is closed when the store is poisoned.
func (s *Store) Poisoned() <-chan struct{} { return s.poison.done }

// acquire makes Close wait until release.
func (s *Store) acquire() error {
	if err := s.poison.cause(); err != nil {
		return err
	}
	s.users.Add(1)
	if s.closed.Load() {
		s.release()
		return ErrClosed
	}
	return nil
}

func (s *Store) release() {
	// Close sets closed before it reads users: either it sees zero, or the last user sees closed.
	if s.users.Add(-1) == 0 && s.closed.Load() {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
}

// Close waits for the calls under way and for open iterators and snapshots, closes Pebble and gives the directory
// back: no LOCK is left. What was applied and not synced is synced. Closing twice gives the same answer.
//
// A poisoned store is left, not closed: Close answers ErrPoisoned, and the directory stays locked until the process
// ends, since goroutines of Pebble may still stand in the middle of a write.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Store) close() error {
	s.closed.Store(true)
	for s.users.Load() > 0 {
		select {
		case <-s.idle:
		case <-s.poison.done:
			close(s.closing)
			return s.poison.err
		}
	}
	close(s.closing)
	err := s.closePebble()
	if errors.Is(err, ErrPoisoned) {
		return err
	}
	return errors.Join(err, s.lock.release())
}

// closePebble waits for the goroutines of the store and for Pebble's, or for the poison.
func (s *Store) closePebble() error {
	closed := make(chan error, 1)
	var closing sync.WaitGroup
	closing.Go(func() { s.runClose(closed) })
	select {
	case err := <-closed:
		closing.Wait()
		return err
	case <-s.poison.done:
		return s.poison.err
	}
}

// runClose ends the goroutines of the store and closes Pebble, for a caller that stops waiting on poison.
func (s *Store) runClose(closed chan<- error) {
	defer s.recoverPebble()
	s.workers.Wait()
	closed <- s.db.Close()
}
