package telemetry

import (
	"bytes"
	"fmt"
)

// Types of plugin data.
const (
	TypeInfo     = "info"     // facts
	TypeManifest = "manifest" // what the plugin is
	TypeStatus   = "status"   // the agent's verdict on a plugin
)

// PluginData (PLG) carries what a plugin found out, or why it could not. Measured values do not travel so: they are batches.
type PluginData struct {
	Version    uint64 `json:"v"`
	Host       string `json:"host"`
	Inst       string `json:"inst,omitzero"`
	Plugin     string `json:"plugin"`           // whose data it is
	Type       string `json:"type"`             // TypeInfo, TypeManifest or TypeStatus
	Program    string `json:"version,omitzero"` // version of the program
	Config     Digest `json:"cfg,omitzero"`     // of the config it was made under
	Time       int64  `json:"t"`                // when it was collected, ns
	DurationUS int64  `json:"dur_us,omitzero"`  // how long that took
	Seq        uint64 `json:"seq,omitzero"`
	Digest     Digest `json:"digest,omitzero"` // DigestOf the encoded data, all parts joined

	Data  Facts  `json:"data,omitzero"`  // whole
	Chunk Chunk  `json:"chunk,omitzero"` // or a part of the encoded data
	Part  uint64 `json:"part,omitzero"`  // 1 to Parts
	Parts uint64 `json:"parts,omitzero"` // 0: whole

	Error     *Fault `json:"error,omitzero"`     // why there is no Data, or only half
	Truncated bool   `json:"truncated,omitzero"` // the plugin left something out
}

func (PluginData) bounds() bounds { return plgBounds }

func (p PluginData) check() error {
	if err := checkVersion(p.Version); err != nil {
		return err
	}
	if p.Parts > MaxParts || p.Part > p.Parts || p.Parts > 0 && p.Part == 0 {
		return &ControlError{ControlRange, "part", fmt.Sprintf("%d of %d", p.Part, p.Parts)}
	}
	if p.Parts == 0 && p.Data == nil && p.Error == nil {
		return &ControlError{ControlRequired, "data", "neither data nor an error"}
	}
	return nil
}

// MaxParts is how many parts plugin data may come in.
const MaxParts = 64

// Chunk is a part of encoded data: bytes in msgpack, text in JSON.
type Chunk []byte

// MarshalText returns the text that c is part of.
func (c Chunk) MarshalText() ([]byte, error) { return c, nil }

func (c Chunk) pack(p *controlWriter) error {
	p.bin(c)
	return nil
}

func (c *Chunk) unpack(u *controlReader) error {
	it := u.peek()
	if it.kind != itemBin && it.kind != itemStr {
		return wrongType("a part of encoded data", it)
	}
	*c = bytes.Clone(u.take(it))
	return nil
}

// DecodePluginData decodes and checks a PLG in either encoding.
func DecodePluginData(body []byte) (PluginData, Encoding, error) {
	return decodeControl[PluginData](body)
}
