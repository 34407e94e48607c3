package api

// Object is the envelope of all that dockerwall says to programs: answers of the daemon, and what commands print with
// -o json, jsonl and yaml. Within a [Version], fields are only added.
type Object[T any] struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Spec       T      `json:"spec"`
}

// The kinds of objects that the daemon answers with.
const (
	KindHealth      = "Health"
	KindStatus      = "Status"
	KindDenial      = "Denial"
	KindDenials     = "Denials" // a list of them, from a command
	KindExplanation = "Explanation"
	KindSuggestions = "Suggestions"
	KindChanged     = "Changed"

	KindObservations = "Observations"
)

// Wrap puts a value into its envelope.
func Wrap[T any](kind string, spec T) Object[T] { return Object[T]{Version, kind, spec} }
