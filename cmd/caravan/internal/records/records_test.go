package records

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readAll reads every row as "line id body" and every fault as its text.
func readAll(t *testing.T, reader *Reader) (rows, faults []string) {
	t.Helper()
	for {
		row, err := reader.Next()
		var fault *Fault
		switch {
		case errors.Is(err, io.EOF):
			return rows, faults
		case errors.As(err, &fault):
			faults = append(faults, fault.Error())
		case err != nil:
			t.Fatal(err)
		case row.RandomID:
			if len(row.ID) != 36 {
				t.Errorf("random id %q is no UUID", row.ID)
			}
			rows = append(rows, fmt.Sprintf("%d random %s", row.Line, row.Body))
		default:
			rows = append(rows, fmt.Sprintf("%d %s %s", row.Line, row.ID, row.Body))
		}
	}
}

func TestRowsAndFaultsOfAFile(t *testing.T) {
	for name, test := range map[string]struct {
		format       Format
		idField, in  string
		rows, faults []string
	}{
		"csv with id": {
			format: CSV, in: "\xef\xbb\xbfid,city\n1,\"Paris, Texas\"\n2,Köln\n",
			rows: []string{`2 1 {"city":"Paris, Texas","id":"1"}`, `3 2 {"city":"Köln","id":"2"}`},
		},
		"csv without id": {
			format: CSV, in: "city\nRome\n", rows: []string{`2 random {"city":"Rome"}`},
		},
		"csv with another id": {
			format: CSV, idField: "city", in: "city\nRome\n", rows: []string{`2 Rome {"city":"Rome"}`},
		},
		"csv with malformed rows": {
			format: CSV, in: "id,city\n1\n2,\"a\"b\n ,c\n3,\xff\n4,d\n",
			rows: []string{`6 4 {"city":"d","id":"4"}`},
			faults: []string{"line 2: has 1 fields, the header has 2",
				`line 3: extraneous or missing " in quoted-field`,
				`line 4: field "id" is empty; every row needs an id of its own`,
				`line 5: field "city" is not UTF-8`},
		},
		"csv with a quote that never closes": {
			format: CSV, in: "id,city\n1,a\n2,\"b\n3,c\n4,d\n",
			rows:   []string{`2 1 {"city":"a","id":"1"}`},
			faults: []string{"line 3: a quote is never closed properly; lines 3 to 5 are lost to it"},
		},
		"jsonl": {
			format: JSONL, in: "{\"id\": 7, \"city\": \"Rome\"}\n\n{\"id\":\"b\",\"n\":12345678901234567890}\n{\"city\":\"Oslo\"}",
			rows: []string{`1 7 {"id":7,"city":"Rome"}`, `3 b {"id":"b","n":12345678901234567890}`, `4 random {"city":"Oslo"}`},
		},
		"jsonl with malformed rows": {
			format: JSONL, in: "{\"id\":\"a\"}\n{\"id\":\n[1]\n{\"id\":null}\n{\"id\":[]}\n{} {}\n{\"id\":\"z\"}\n",
			rows: []string{`1 a {"id":"a"}`, `7 z {"id":"z"}`},
			faults: []string{"line 2: is not a JSON object: unexpected end of JSON input",
				`line 3: is not a JSON object: "[1]"`,
				`line 4: field "id" is null; every row needs an id of its own`,
				`line 5: field "id" is []; an id is a string or a number`,
				"line 6: is not a JSON object: invalid character '{' after top-level value"},
		},
		"jsonl with a named id that is missing": {
			format: JSONL, idField: "key", in: "{\"id\":1}\n", faults: []string{`line 1: has no field "key"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			reader, err := NewReader(strings.NewReader(test.in), test.format, test.idField)
			if err != nil {
				t.Fatal(err)
			}
			rows, faults := readAll(t, reader)
			if diff := cmp.Diff(test.rows, rows); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.faults, faults); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFileThatIsNotOfTheFormatIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		format            Format
		idField, in, want string
	}{
		"empty":         {CSV, "", "\n \n", "it is empty"},
		"binary":        {JSONL, "", "\x7fELF\x00\x00", "it is not text, so it cannot be jsonl"},
		"array":         {JSONL, "", " [{\"id\":1}]", "it is a JSON array, not one JSON object per line; convert it: jq -c '.[]'"},
		"double header": {CSV, "", "id,id\n", `the header row names "id" twice`},
		"empty header":  {CSV, "", "id,\n", "the header row has no name for column 2"},
		"no id column":  {CSV, "key", "id,city\n", `it has no column "key"; its columns are id, city`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewReader(strings.NewReader(test.in), test.format, test.idField)
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestFormatFollowsTheEndingUnlessNamed(t *testing.T) {
	for _, test := range []struct{ flag, file, want string }{
		{"", "a/Cities.CSV", "csv"}, {"", "x.jsonl", "jsonl"}, {"", "x.ndjson", "jsonl"}, {"csv", "-", "csv"},
	} {
		got, err := ParseFormat(test.flag, test.file)
		if err != nil || string(got) != test.want {
			t.Errorf("ParseFormat(%q, %q) = %q, %v; want %q", test.flag, test.file, got, err, test.want)
		}
	}
	for flag, want := range map[string]string{
		"":     "x.json does not end in .csv or .jsonl; say what it is with --format csv or --format jsonl",
		"json": `unknown format "json"; use csv or jsonl`,
	} {
		if _, err := ParseFormat(flag, "x.json"); err == nil || err.Error() != want {
			t.Errorf("ParseFormat(%q) failed with %v, want %s", flag, err, want)
		}
	}
}
