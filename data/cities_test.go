// Package data_test checks the data that Caravan ships.
package data_test

import (
	"encoding/csv"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCitiesAreAThousandCompleteAndDistinct(t *testing.T) {
	file, err := os.Open("cities.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"id", "city", "country", "population"}; !slices.Equal(rows[0], want) {
		t.Fatalf("columns %q, want %q", rows[0], want)
	}
	cities := rows[1:]
	if len(cities) != 1000 {
		t.Errorf("%d cities, want 1000", len(cities))
	}
	ids, names := map[string]int{}, map[string]int{}
	for i, row := range cities {
		line := i + 2
		for column, field := range row {
			if field == "" || field != strings.TrimSpace(field) || !utf8.ValidString(field) {
				t.Errorf("line %d: %s is %q", line, rows[0][column], field)
			}
		}
		if population, err := strconv.Atoi(row[3]); err != nil || population <= 0 {
			t.Errorf("line %d: population %q is not a positive number", line, row[3])
		}
		if first, taken := ids[row[0]]; taken {
			t.Errorf("line %d: id %s is that of line %d", line, row[0], first)
		}
		if first, taken := names[row[1]+"\x00"+row[2]]; taken {
			t.Errorf("line %d: %s, %s is on line %d", line, row[1], row[2], first)
		}
		ids[row[0]], names[row[1]+"\x00"+row[2]] = line, line
	}
}
