// Package records reads the messages of a file: CSV with a header row, or one
// JSON object per line. A row that is malformed is reported with its line
// number and the reading goes on.
package records

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Format is how a file holds its rows.
type Format string

// The formats.
const (
	// CSV has a header row with the field names; every value is a string.
	CSV Format = "csv"
	// JSONL has one JSON object per line; blank lines are skipped.
	JSONL Format = "jsonl"
)

// DefaultIDField is the field that holds a row's id unless another is named.
const DefaultIDField = "id"

// Row is one well-formed message.
type Row struct {
	// Line is where the row starts in the file, from 1.
	Line int
	// ID identifies the message. RandomID says that the row has none and this one was drawn.
	ID       string
	RandomID bool
	// Body is the message: a compact JSON object.
	Body []byte
}

// Fault is one malformed row. The rows after it can still be read.
type Fault struct {
	Line   int
	Reason string
}

// Error implements error.
func (f *Fault) Error() string { return fmt.Sprintf("line %d: %s", f.Line, f.Reason) }

// Reader reads rows one after the other.
type Reader struct {
	source  source
	idField string
	// explicit: the user named idField, so a row without it is malformed.
	explicit bool
}

// source yields the fields of the next row and its line; the error is io.EOF,
// a *Fault, or the end of all reading.
type source interface {
	next() (fields map[string]json.RawMessage, body []byte, line int, err error)
}

// ParseFormat returns the format named by flag or, when flag is empty, by the
// ending of the file's name.
func ParseFormat(flag, file string) (Format, error) {
	name := flag
	if name == "" {
		name = strings.TrimPrefix(strings.ToLower(filepath.Ext(file)), ".")
	}
	switch name {
	case "csv":
		return CSV, nil
	case "jsonl", "ndjson":
		return JSONL, nil
	}
	if flag != "" {
		return "", fmt.Errorf("unknown format %q; use csv or jsonl", flag)
	}
	return "", fmt.Errorf("%s does not end in .csv or .jsonl; say what it is with --format csv or --format jsonl", file)
}

// NewReader reads in as format. idField names the field that holds the id; when
// empty it is DefaultIDField, and rows without that field get a random id.
// An error means that the input as a whole is not of that format.
func NewReader(in io.Reader, format Format, idField string) (*Reader, error) {
	buffered := bufio.NewReaderSize(in, 64*1024)
	if bom, err := buffered.Peek(3); err == nil && bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = buffered.Discard(len(bom)) // what was peeked can be discarded
	}
	head, err := buffered.Peek(4096)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading its beginning: %w", err)
	}
	if len(bytes.TrimSpace(head)) == 0 && errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty")
	}
	if bytes.IndexByte(head, 0) >= 0 {
		return nil, fmt.Errorf("it is not text, so it cannot be %s", format)
	}
	r := &Reader{idField: idField, explicit: idField != ""}
	if !r.explicit {
		r.idField = DefaultIDField
	}
	switch format {
	case CSV:
		r.source, err = newCSVSource(buffered, idField)
	case JSONL:
		r.source, err = newJSONLSource(buffered, head)
	default:
		err = fmt.Errorf("unknown format %q", format)
	}
	return r, err
}

// Next returns the next row. The error is io.EOF at the end, a *Fault for a
// malformed row (reading can go on), or the reason why nothing more can be read.
func (r *Reader) Next() (Row, error) {
	fields, body, line, err := r.source.next()
	if err != nil {
		return Row{}, err
	}
	row := Row{Line: line, Body: body}
	value, present := fields[r.idField]
	if !present && !r.explicit {
		row.ID, row.RandomID = uuid.NewString(), true
		return row, nil
	}
	if !present {
		return Row{}, &Fault{line, fmt.Sprintf("has no field %q", r.idField)}
	}
	if row.ID, err = idText(value); err != nil {
		return Row{}, &Fault{line, fmt.Sprintf("field %q %v", r.idField, err)}
	}
	return row, nil
}

// idText is an id as text: a string as it is, a number as it is written.
func idText(value json.RawMessage) (string, error) {
	var decoded any
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.UseNumber()
	if err := decoder.Decode(&decoded); err != nil {
		return "", fmt.Errorf("cannot be read: %w", err)
	}
	switch id := decoded.(type) {
	case string:
		if id = strings.TrimSpace(id); id == "" {
			return "", errors.New("is empty; every row needs an id of its own")
		}
		return id, nil
	case json.Number:
		return id.String(), nil
	case nil:
		return "", errors.New("is null; every row needs an id of its own")
	}
	return "", fmt.Errorf("is %s; an id is a string or a number", value)
}

// quoteStart shows the beginning of a faulty line in a message.
func quoteStart(line []byte) string {
	const most = 40
	if runes := []rune(string(line)); len(runes) > most {
		return strconv.Quote(string(runes[:most]) + "…")
	}
	return strconv.Quote(string(line))
}
