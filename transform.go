// SPDX-License-Identifier: Apache-2.0

package forebay

// Transform describes one step between source and sink. It is a configuration value.
type Transform interface {
	// Name is what messages call the step, such as filter.
	Name() string
	// Compile fits the step to what comes in. Each lane compiles its own.
	//
	// Errors: everything that is wrong with the step for this input, such as unknown columns, at once.
	Compile(in Shape) (Step, error)
}

// Shape is what flows between two steps.
type Shape struct {
	// Layout is that of the rows; nil while records are bytes only.
	Layout *Layout
	// JSON says that the records have no rows and that the value of each is a well-formed JSON object.
	JSON bool
	// Width is the number of slots that rows have so far; a step that adds a column takes the slot at Width.
	Width int
}

// SourceShape is what flows from a source that was started: rows of a schema, or, without one, bytes.
func SourceShape(info SourceInfo, schema *Schema) Shape {
	if schema == nil {
		return Shape{JSON: info.JSON}
	}
	layout := NewLayout(schema)
	return Shape{Layout: layout, Width: layout.Width()}
}

// Step is a compiled transform.
type Step struct {
	// Out is what flows on.
	Out Shape
	// Apply works on the records of a batch in place: it may remove records, and note those that it rejects.
	// It returns how many it removed on purpose. nil where only the layout changes. The pipeline gives the
	// batch its outgoing layout afterwards.
	//
	// Errors: the lane stops.
	Apply func(b *Batch) (filtered int, err error)
	// Deterministic says that the same records always give the same result.
	Deterministic bool
}
