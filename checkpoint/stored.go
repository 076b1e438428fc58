// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/forebay-io/forebay"
)

// The stored forms. Names of splits, paths and fingerprints are any bytes, which a JSON string cannot hold.

// text is a string in JSON, or {"bytes": base64} where it is not UTF-8.
type text string

type textBytes struct {
	Bytes []byte `json:"bytes"`
}

// MarshalJSON implements json.Marshaler.
func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(textBytes{Bytes: []byte(t)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		var b textBytes
		err := json.Unmarshal(data, &b)
		*t = text(b.Bytes)
		return err
	}
	return json.Unmarshal(data, (*string)(t))
}

type storedSetting struct{ Name, Value text }

type storedPosition struct {
	Offset   int64
	Detail   text
	Finished bool
}

type (
	plainMeta  Meta
	plainEntry Entry
)

// storedMeta and storedEntry replace the fields that may hold any bytes.
type storedMeta struct {
	plainMeta
	Source []storedSetting `json:"source"`
	Sink   []storedSetting `json:"sink"`
	Schema text            `json:"schema,omitempty"`
}

type storedEntry struct {
	plainEntry
	Split       text           `json:"split"`
	Position    storedPosition `json:"position"`
	Fingerprint text           `json:"fingerprint"`
}

// MarshalJSON implements json.Marshaler.
func (m Meta) MarshalJSON() ([]byte, error) {
	return json.Marshal(storedMeta{
		plainMeta: plainMeta(m), Source: toStored(m.Source), Sink: toStored(m.Sink), Schema: text(m.Schema),
	})
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *Meta) UnmarshalJSON(data []byte) error {
	var s storedMeta
	err := json.Unmarshal(data, &s)
	*m = Meta(s.plainMeta)
	m.Source, m.Sink, m.Schema = fromStored(s.Source), fromStored(s.Sink), string(s.Schema)
	return err
}

// MarshalJSON implements json.Marshaler.
func (e Entry) MarshalJSON() ([]byte, error) {
	return json.Marshal(storedEntry{
		plainEntry: plainEntry(e), Split: text(e.Split), Fingerprint: text(e.Fingerprint),
		Position: storedPosition{
			Offset: e.Position.Offset, Detail: text(e.Position.Detail), Finished: e.Position.Finished,
		},
	})
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *Entry) UnmarshalJSON(data []byte) error {
	var s storedEntry
	err := json.Unmarshal(data, &s)
	*e = Entry(s.plainEntry)
	e.Split, e.Fingerprint = string(s.Split), string(s.Fingerprint)
	e.Position = forebay.Position{
		Offset: s.Position.Offset, Detail: string(s.Position.Detail), Finished: s.Position.Finished,
	}
	return err
}

func toStored(settings []forebay.Setting) []storedSetting {
	out := make([]storedSetting, len(settings))
	for i, s := range settings {
		out[i] = storedSetting{Name: text(s.Name), Value: text(s.Value)}
	}
	return out
}

func fromStored(settings []storedSetting) []forebay.Setting {
	var out []forebay.Setting
	for _, s := range settings {
		out = append(out, forebay.Setting{Name: string(s.Name), Value: string(s.Value)})
	}
	return out
}
