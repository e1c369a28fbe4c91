package main

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// place is a populated place of GeoNames.
type place struct {
	id            int64
	name, country string
	// feature is the GeoNames feature code.
	feature    string
	population uint64
}

// Field numbers of a place in cities.pbf, as its package writes them.
const (
	idField         = 1
	nameField       = 2
	countryField    = 3
	featureField    = 7
	populationField = 9
)

// Wire types of Protocol Buffers; cities.pbf has only these two.
const (
	varintType = 0
	bytesType  = 2
)

var errTruncated = errors.New("it ends in the middle of a value")

// decodePlaces reads Protocol Buffers messages that follow one another, each
// behind its length.
func decodePlaces(encoded []byte) ([]place, error) {
	var places []place
	for rest := encoded; len(rest) > 0; {
		message, after, err := takeBytes(rest)
		if err != nil {
			return nil, fmt.Errorf("place %d: %w", len(places), err)
		}
		decoded, err := decodePlace(message)
		if err != nil {
			return nil, fmt.Errorf("place %d: %w", len(places), err)
		}
		places = append(places, decoded)
		rest = after
	}
	return places, nil
}

func decodePlace(message []byte) (place, error) {
	var decoded place
	for rest := message; len(rest) > 0; {
		tag, after, err := takeVarint(rest)
		if err != nil {
			return place{}, err
		}
		switch number, wire := tag>>3, tag&7; wire {
		case varintType:
			var value uint64
			value, rest, err = takeVarint(after)
			decoded.setNumber(number, value)
		case bytesType:
			var value []byte
			value, rest, err = takeBytes(after)
			decoded.setText(number, string(value))
		default:
			err = fmt.Errorf("field %d has the unknown wire type %d", number, wire)
		}
		if err != nil {
			return place{}, err
		}
	}
	return decoded, nil
}

func (p *place) setNumber(field, value uint64) {
	switch field {
	case idField:
		p.id = int64(value>>1) ^ -int64(value&1) // signed numbers are zigzag-encoded
	case populationField:
		p.population = value
	}
}

func (p *place) setText(field uint64, value string) {
	switch field {
	case nameField:
		p.name = value
	case countryField:
		p.country = value
	case featureField:
		p.feature = value
	}
}

func takeVarint(from []byte) (value uint64, rest []byte, err error) {
	value, size := binary.Uvarint(from)
	if size <= 0 {
		return 0, nil, errTruncated
	}
	return value, from[size:], nil
}

func takeBytes(from []byte) (value, rest []byte, err error) {
	length, rest, err := takeVarint(from)
	if err != nil {
		return nil, nil, err
	}
	if length > uint64(len(rest)) {
		return nil, nil, errTruncated
	}
	return rest[:length], rest[length:], nil
}
