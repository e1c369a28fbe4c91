// Package stacks says what a stack is: its config becomes a Spec, the Spec is
// validated against the catalogs of profiles, models and instance types, and
// the Plan with every number that the components need is derived from it.
// Everything here is pure: text in, plan or faults out.
package stacks
