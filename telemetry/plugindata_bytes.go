package telemetry

import "encoding/json"

// PluginDataBytes returns the data of a PLG as they stand in its message, which is what its digest is taken over; nothing where it
// has none, or a part of them only.
func PluginDataBytes(body []byte) ([]byte, error) {
	if len(body) > 0 && body[0] == '{' {
		var d struct {
			Data json.RawMessage `json:"data"`
		}
		err := json.Unmarshal(body, &d)
		return d.Data, err
	}
	d, _, err := decodeControl[dataOnly](body)
	return d.Data, err
}

// dataOnly is a PLG of which nothing but the data is decoded, and these not either.
type dataOnly struct {
	Data Raw `json:"data,omitzero"`
}

func (dataOnly) bounds() bounds { return plgBounds }

func (dataOnly) check() error { return nil }
