// Package noquery keeps Bubble Tea from asking the terminal for its background
// colour when the program starts, whatever the command: the answer is not
// needed, for the view has no colours, and a terminal that does not answer
// holds every command up for five seconds and swallows what is typed meanwhile.
package noquery

import "github.com/charmbracelet/lipgloss"

// Bubble Tea asks in its own init. This one comes earlier: packages are
// initialised in the order of their paths once what they import is, and this
// one, which only needs lipgloss, sorts before Bubble Tea.
func init() { lipgloss.SetHasDarkBackground(true) }
