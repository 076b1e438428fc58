// SPDX-License-Identifier: Apache-2.0

// Package csv reads and writes comma-separated values as RFC 4180 describes them: fields between delimiters, quoted
// where they hold a delimiter, a quote (written twice) or a line break. Lines end in LF or CRLF; the last one
// may lack it. A byte order mark is passed over, and so are empty lines.
//
//	csv.go      Format and what is wrong with it        start.go   the header and the types of columns
//	decoder.go  records in a window; lines without quotes, eight bytes at a time
//	quoted.go   records with quotes                     cell.go    the text of a field to a cell
//	encode.go   rows as lines
//
// A quoted field is text: in a string column it is never null, in any other column a quoted null text is
// null. A quote inside a field that does not begin with one is a mistake, as is anything but a delimiter
// behind a closing quote. Such a record is rejected up to the end of the line with the mistake, and reading
// goes on behind it.
package csv
