package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"math/big"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"golang.org/x/crypto/bcrypt"
)

// The characters of each class; the specials are those that the SDK documents.
const (
	lowers   = "abcdefghijklmnopqrstuvwxyz"
	uppers   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits   = "0123456789"
	specials = "!@#$%&*()-_=+[]{}<>:?"
)

// recipe says which passwords are allowed.
type recipe struct {
	length  int
	classes []class
}

// class is a set of characters and how many of them a password has at least.
type class struct {
	// switchedBy and minimum are the inputs that a fault of the class names.
	switchedBy, minimum string
	characters          []rune
	enabled             bool
	least               int
}

// newRecipe reads the recipe from inputs whose types have been checked.
func newRecipe(set values) recipe {
	all := effective(set)
	special := specials
	if override := all["overrideSpecial"].GetStringValue(); override != "" {
		special = override
	}
	read := func(switchedBy, minimum, characters string) class {
		return class{
			switchedBy: switchedBy,
			minimum:    minimum,
			characters: []rune(characters),
			enabled:    all[switchedBy].GetBoolValue(),
			least:      int(all[minimum].GetNumberValue()),
		}
	}
	return recipe{
		length: int(all["length"].GetNumberValue()),
		classes: []class{
			read("lower", "minLower", lowers),
			read("upper", "minUpper", uppers),
			read("numeric", "minNumeric", digits),
			read("special", "minSpecial", special),
		},
	}
}

// faults returns why no password can follow the recipe; none if one can.
func (r recipe) faults() []*pulumirpc.CheckFailure {
	var failures []*pulumirpc.CheckFailure
	if r.length < 1 {
		failures = append(failures, failure("length", "%d is too short; give at least 1", r.length))
	}
	least, enabled := 0, false
	for _, class := range r.classes {
		least += class.least
		enabled = enabled || class.enabled
		if class.least > 0 && !class.enabled {
			failures = append(failures,
				failure(class.minimum, "%d, but %s is false; make it true or drop %s", class.least, class.switchedBy, class.minimum))
		}
	}
	if !enabled {
		failures = append(failures, failure("lower", "lower, upper, numeric and special are all false; make one true"))
	}
	if least > r.length {
		failures = append(failures, failure("length", "%d is below the sum of the minimums, %d; raise it", r.length, least))
	}
	return failures
}

// password makes a password that follows the recipe, every one of them equally
// likely but for the minimums, from the bytes of random.
func (r recipe) password(random io.Reader) (string, error) {
	var result, pool []rune
	draw := func(from []rune, count int) error {
		for range count {
			i, err := below(random, len(from))
			if err != nil {
				return err
			}
			result = append(result, from[i])
		}
		return nil
	}
	for _, class := range r.classes {
		if !class.enabled {
			continue
		}
		pool = append(pool, class.characters...)
		if err := draw(class.characters, class.least); err != nil {
			return "", err
		}
	}
	if err := draw(pool, r.length-len(result)); err != nil {
		return "", err
	}
	if err := shuffle(random, result); err != nil {
		return "", err
	}
	return string(result), nil
}

// shuffle puts the runes in a random order (Fisher and Yates).
func shuffle(random io.Reader, runes []rune) error {
	for i := len(runes) - 1; i > 0; i-- {
		j, err := below(random, i+1)
		if err != nil {
			return err
		}
		runes[i], runes[j] = runes[j], runes[i]
	}
	return nil
}

// below draws a number from 0 to n-1, all equally likely: rand.Int draws again
// where a remainder would favour the small ones.
func below(random io.Reader, n int) (int, error) {
	drawn, err := rand.Int(random, big.NewInt(int64(n)))
	if err != nil {
		return 0, fmt.Errorf("drawing a random number: %w", err)
	}
	return int(drawn.Int64()), nil
}

// bcryptLimit is how many bytes of a password bcrypt looks at.
const bcryptLimit = 72

// hash returns the bcrypt hash of the password, of its first 72 bytes if it is
// longer, as the real provider does.
func hash(password string) (string, error) {
	hashed, err := bcrypt.GenerateFromPassword([]byte(password[:min(len(password), bcryptLimit)]), bcrypt.DefaultCost)
	if err != nil {
		return "", fmt.Errorf("hashing the password: %w", err)
	}
	return string(hashed), nil
}
