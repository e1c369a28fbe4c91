package records

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

type jsonlSource struct {
	in   *bufio.Reader
	line int
}

func newJSONLSource(in *bufio.Reader, head []byte) (*jsonlSource, error) {
	if bytes.HasPrefix(bytes.TrimSpace(head), []byte("[")) {
		return nil, errors.New("it is a JSON array, not one JSON object per line; convert it: jq -c '.[]'")
	}
	return &jsonlSource{in: in}, nil
}

func (s *jsonlSource) next() (map[string]json.RawMessage, []byte, int, error) {
	for {
		text, err := s.in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, 0, err
		}
		if text = bytes.TrimSpace(text); len(text) == 0 {
			if err != nil {
				return nil, nil, 0, io.EOF
			}
			s.line++
			continue
		}
		s.line++
		return s.parse(text)
	}
}

func (s *jsonlSource) parse(text []byte) (map[string]json.RawMessage, []byte, int, error) {
	if !utf8.Valid(text) {
		return nil, nil, 0, &Fault{s.line, "is not UTF-8"}
	}
	var fields map[string]json.RawMessage
	if text[0] != '{' {
		return nil, nil, 0, &Fault{s.line, "is not a JSON object: " + quoteStart(text)}
	}
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, nil, 0, &Fault{s.line, "is not a JSON object: " + err.Error()}
	}
	var body bytes.Buffer
	if err := json.Compact(&body, text); err != nil {
		return nil, nil, 0, &Fault{s.line, "is not a JSON object: " + err.Error()}
	}
	return fields, body.Bytes(), s.line, nil
}
