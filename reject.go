// SPDX-License-Identifier: Apache-2.0

package forebay

// Stage names where a record was rejected; it is part of a dead letter's key.
type Stage string

// The stages that reject records.
const (
	StageSource    Stage = "source"
	StageTransform Stage = "transform"
	StageSink      Stage = "sink"
)

// Reject is a record that can never be accepted, and why.
type Reject struct {
	Origin
	Stage Stage
	// Code is a short stable name of the reason, such as wrong-type.
	Code string
	// Reason says what is wrong in words.
	Reason string
	// Place is where the record lies for a person: file:line:column, or topic, partition and offset.
	Place string
	// Value is a copy of the record's original bytes.
	Value []byte
}

// DeadLetter is a reject on its way to the dead-letter table of its pipeline.
type DeadLetter struct {
	Reject
	// Time is when it was rejected, in microseconds since 1970-01-01T00:00:00Z.
	Time int64
}
