package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// encoded returns a place as the package writes it, with a field that the
// program does not read.
func encoded(p place) []byte {
	var message []byte
	number := func(field, value uint64) {
		message = binary.AppendUvarint(binary.AppendUvarint(message, field<<3|varintType), value)
	}
	text := func(field uint64, value string) {
		message = binary.AppendUvarint(binary.AppendUvarint(message, field<<3|bytesType), uint64(len(value)))
		message = append(message, value...)
	}
	number(idField, uint64(p.id)<<1)
	text(nameField, p.name)
	text(countryField, p.country)
	text(featureField, p.feature)
	number(populationField, p.population)
	number(10, 4711)
	return append(binary.AppendUvarint(nil, uint64(len(message))), message...)
}

// output runs the program over places and two countries.
func output(t *testing.T, count int, places ...place) (string, error) {
	t.Helper()
	var pbf []byte
	for _, p := range places {
		pbf = append(pbf, encoded(p)...)
	}
	folder := t.TempDir()
	placesFile, countriesFile := filepath.Join(folder, "cities.pbf"), filepath.Join(folder, "countries.json")
	for file, content := range map[string][]byte{placesFile: pbf, countriesFile: []byte(`{"TR":"Turkey","US":"United States"}`)} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	err := run(&out, placesFile, countriesFile, count)
	return out.String(), err
}

var (
	izmir       = place{311046, "İzmir", "TR", "PPLA", 2500603}
	washington  = place{4140963, "Washington, D.C.", "US", "PPLC", 601723}
	section     = place{1, "A Section", "US", "PPLX", 9000000}
	namesake    = place{2, "İzmir", "TR", "PPL", 1000}
	nowhereland = place{3, "Nowhere", "ZZ", "PPL", 800000}
)

func TestTheLargestCitiesComeFirstAndSectionsAndNamesakesNotAtAll(t *testing.T) {
	got, err := output(t, 2, washington, section, namesake, izmir)
	if err != nil {
		t.Fatal(err)
	}
	want := "id,city,country,population\n311046,İzmir,Turkey,2500603\n4140963,\"Washington, D.C.\",United States,601723\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWhatIsMissingIsAnError(t *testing.T) {
	for name, test := range map[string]struct {
		places []place
		want   string
	}{
		"cities":       {[]place{izmir}, "2 cities wanted, the places have only 1"},
		"country name": {[]place{izmir, nowhereland}, `Nowhere (3): no name for the country "ZZ"`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := output(t, 2, test.places...); err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestATruncatedFileIsAnError(t *testing.T) {
	whole := encoded(izmir)
	for cut := 1; cut < len(whole); cut++ {
		if _, err := decodePlaces(whole[:cut]); err == nil || !strings.Contains(err.Error(), "place 0: ") {
			t.Fatalf("cut at %d: got %v", cut, err)
		}
	}
}
