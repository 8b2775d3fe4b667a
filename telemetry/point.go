package telemetry

import "time"

// Tags are the tags of one point.
type Tags map[string]string

// Fields are the fields of one point: floats, integers, bools and strings of Go, or [Value].
type Fields map[string]any

// A Tag is one key and its value.
type Tag struct{ Key, Value string }

// A Field is the name and the type of a column of values.
type Field struct {
	Name string
	Type Type
}

// A Point is one observation of a series. It is the author's view of a batch, with maps of its own; work on many points
// goes by [Group].
type Point struct {
	Series string
	Time   time.Time
	Tags   Tags
	Fields Fields
}
