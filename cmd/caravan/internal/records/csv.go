package records

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

type csvSource struct {
	reader *csv.Reader
	header []string
}

func newCSVSource(in io.Reader, idField string) (*csvSource, error) {
	reader := csv.NewReader(in)
	reader.FieldsPerRecord = -1 // counted in next, where the message can say what was expected
	header, err := reader.Read()
	if err != nil {
		return nil, fmt.Errorf("reading the header row: %w", err)
	}
	for i, name := range header {
		header[i] = strings.TrimSpace(name)
		switch {
		case !utf8.ValidString(name):
			return nil, fmt.Errorf("the header row is not UTF-8 (column %d)", i+1)
		case header[i] == "":
			return nil, fmt.Errorf("the header row has no name for column %d", i+1)
		case slices.Contains(header[:i], header[i]):
			return nil, fmt.Errorf("the header row names %q twice", header[i])
		}
	}
	if idField != "" && !slices.Contains(header, idField) {
		return nil, fmt.Errorf("it has no column %q; its columns are %s", idField, strings.Join(header, ", "))
	}
	return &csvSource{reader: reader, header: header}, nil
}

func (s *csvSource) next() (map[string]json.RawMessage, []byte, int, error) {
	record, err := s.reader.Read()
	if err != nil {
		return nil, nil, 0, csvFault(err)
	}
	line, _ := s.reader.FieldPos(0)
	if len(record) != len(s.header) {
		return nil, nil, 0, &Fault{line, fmt.Sprintf("has %d fields, the header has %d", len(record), len(s.header))}
	}
	fields := make(map[string]json.RawMessage, len(record))
	for i, value := range record {
		if !utf8.ValidString(value) {
			return nil, nil, 0, &Fault{line, fmt.Sprintf("field %q is not UTF-8", s.header[i])}
		}
		if fields[s.header[i]], err = json.Marshal(value); err != nil {
			return nil, nil, 0, fmt.Errorf("encoding line %d: %w", line, err)
		}
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("encoding line %d: %w", line, err)
	}
	return fields, body, line, nil
}

// csvFault turns the parser's complaint about one record into a Fault. A quote
// that never closes swallows the rest of the file: that is said.
func csvFault(err error) error {
	var parse *csv.ParseError
	if !errors.As(err, &parse) {
		return err
	}
	if errors.Is(parse.Err, csv.ErrQuote) && parse.StartLine != parse.Line {
		return &Fault{parse.StartLine, fmt.Sprintf("a quote is never closed properly; lines %d to %d are lost to it", parse.StartLine, parse.Line)}
	}
	return &Fault{parse.StartLine, parse.Err.Error()}
}
