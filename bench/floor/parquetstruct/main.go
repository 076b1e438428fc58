// SPDX-License-Identifier: Apache-2.0

// Command parquetstruct is the floor for rows into Parquet: COUNT structs of the shape that the job file-parquet
// generates go through parquet-go's writer of structs in batches of 1,024, with texts by a dictionary and Snappy, into
// OUT, which is synced once at the end.
package main

import (
	"bufio"
	"log"
	"math/rand/v2"
	"os"
	"strconv"

	"github.com/parquet-go/parquet-go"
)

type row struct {
	ID      int64   `parquet:"id"`
	Time    int64   `parquet:"time,timestamp(microsecond)"`
	User    int64   `parquet:"user"`
	Amount  float64 `parquet:"amount"`
	OK      bool    `parquet:"ok"`
	Country string  `parquet:"country,dict"`
	Device  string  `parquet:"device,dict"`
	Score   *int64  `parquet:"score,optional"`
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: parquetstruct COUNT OUT")
	}
	count, err := strconv.Atoi(os.Args[1])
	check(err)
	out, err := os.Create(os.Args[2])
	check(err)
	buffer := bufio.NewWriterSize(out, 256<<10)
	writer := parquet.NewGenericWriter[row](buffer, parquet.Compression(&parquet.Snappy),
		parquet.MaxRowsPerRowGroup(500_000))
	countries := []string{"de", "fr", "it", "es", "pl"}
	devices := []string{"phone", "tablet", "desktop"}
	rows, scores := make([]row, 1024), make([]int64, 1024)
	random := rand.New(rand.NewPCG(1, 2))
	for id := 0; id < count; {
		n := min(len(rows), count-id)
		for k := range rows[:n] {
			scores[k] = int64(random.Uint32N(101))
			rows[k] = row{
				ID: int64(id), Time: 1_700_000_000_000_000 + int64(id)*1000, User: int64(random.Uint32N(10_001)),
				Amount: random.Float64() * 1000, OK: random.Uint32N(2) == 0, Country: countries[random.Uint32N(5)],
				Device: devices[random.Uint32N(3)], Score: &scores[k],
			}
			if random.Uint32N(10) == 0 {
				rows[k].Score = nil
			}
			id++
		}
		_, err = writer.Write(rows[:n])
		check(err)
	}
	check(writer.Close())
	check(buffer.Flush())
	check(out.Sync())
	check(out.Close())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
