package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/structpb"
)

// kind is an input's type, in the words of Pulumi's schema.
type kind string

const (
	boolean kind = "boolean"
	integer kind = "integer"
	text    kind = "string"
	mapping kind = "object"
)

// values are properties as they travel between engine and provider.
type values = map[string]*structpb.Value

// input is one property that a program may set on a RandomPassword.
type input struct {
	name string
	kind kind
	// fallback is the value when the program sets none; nil: there is none.
	fallback *structpb.Value
	about    string
}

var (
	yes  = structpb.NewBoolValue(true)
	zero = structpb.NewNumberValue(0)
)

// inputs are all inputs of a RandomPassword. Only length is required.
var inputs = []input{
	{"keepers", mapping, nil, "Any strings; when one changes, a new password is made."},
	{"length", integer, nil, "Number of characters, at least 1."},
	{"lower", boolean, yes, "Whether lower-case letters are used."},
	{"minLower", integer, zero, "Least number of lower-case letters."},
	{"minNumeric", integer, zero, "Least number of digits."},
	{"minSpecial", integer, zero, "Least number of special characters."},
	{"minUpper", integer, zero, "Least number of upper-case letters."},
	{"numeric", boolean, yes, "Whether digits are used."},
	{"overrideSpecial", text, nil, "The special characters, instead of " + specials + "."},
	{"special", boolean, yes, "Whether special characters are used."},
	{"upper", boolean, yes, "Whether upper-case letters are used."},
}

// in returns the input's value among set, its fallback when it is not set, and
// nil when it has none.
func (i input) in(set values) *structpb.Value {
	if value := set[i.name]; isSet(value) {
		return value
	}
	return i.fallback
}

// effective returns every input that has a value, set or fallback.
func effective(set values) values {
	all := values{}
	for _, input := range inputs {
		if value := input.in(set); value != nil {
			all[input.name] = value
		}
	}
	return all
}

func isSet(value *structpb.Value) bool {
	_, null := value.GetKind().(*structpb.Value_NullValue)
	return value.GetKind() != nil && !null
}

func isUnknown(value *structpb.Value) bool {
	return value.GetStringValue() == unknownSentinel
}

// hasUnknown tells whether a value will be known only after a preview.
func hasUnknown(all values) bool {
	for _, value := range all {
		if isUnknown(value) || hasUnknown(value.GetStructValue().GetFields()) {
			return true
		}
	}
	return false
}

// check returns every fault of the inputs that a program has set. Rules that
// join several inputs wait until all of them are known.
func check(set values) []*pulumirpc.CheckFailure {
	failures := slices.Concat(unknownKeys(set), wrongTypes(set))
	if !isSet(set["length"]) {
		failures = append(failures, failure("length", "required: the number of characters"))
	}
	if len(failures) > 0 || hasUnknown(set) {
		return failures
	}
	return newRecipe(set).faults()
}

func unknownKeys(set values) []*pulumirpc.CheckFailure {
	var names []string
	for _, input := range inputs {
		names = append(names, input.name)
	}
	var failures []*pulumirpc.CheckFailure
	for key := range set {
		if !slices.Contains(names, key) {
			failures = append(failures, failure(key, "no such input; there are %s", strings.Join(names, ", ")))
		}
	}
	slices.SortFunc(failures, func(a, b *pulumirpc.CheckFailure) int { return strings.Compare(a.Property, b.Property) })
	return failures
}

func wrongTypes(set values) []*pulumirpc.CheckFailure {
	var failures []*pulumirpc.CheckFailure
	for _, input := range inputs {
		value := set[input.name]
		if isSet(value) && !isUnknown(value) && !input.kind.holds(value) {
			failures = append(failures, failure(input.name, "%v is not of type %s", value.AsInterface(), input.kind))
		}
	}
	return failures
}

// holds tells whether the value is of the kind; an integer is a whole number
// that is not negative, a mapping's values are strings.
func (k kind) holds(value *structpb.Value) bool {
	switch got := value.GetKind().(type) {
	case *structpb.Value_BoolValue:
		return k == boolean
	case *structpb.Value_StringValue:
		return k == text
	case *structpb.Value_NumberValue:
		return k == integer && got.NumberValue >= 0 && got.NumberValue <= math.MaxInt32 &&
			got.NumberValue == math.Trunc(got.NumberValue)
	case *structpb.Value_StructValue:
		for _, member := range got.StructValue.GetFields() {
			if !text.holds(member) {
				return false
			}
		}
		return k == mapping
	default:
		return false
	}
}

func failure(property, reason string, args ...any) *pulumirpc.CheckFailure {
	return &pulumirpc.CheckFailure{Property: property, Reason: fmt.Sprintf(reason, args...)}
}
