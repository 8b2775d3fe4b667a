package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Types of plugin data.
const (
	DataInfo     = "info"     // facts
	DataManifest = "manifest" // what the plugin is
	DataStatus   = "status"   // the agent's verdict on a plugin
)

// PluginData (PLG) carries what a plugin found out, or why it could not. Measured values do not travel so: they are batches.
type PluginData struct {
	Version        uint64 `json:"v"`
	Host           string `json:"host"`
	Inst           string `json:"inst,omitzero"`
	Plugin         string `json:"plugin"`           // whose data it is
	Type           string `json:"type"`             // DataInfo, DataManifest or DataStatus
	ProgramVersion string `json:"version,omitzero"` // version of the program
	Config         Digest `json:"cfg,omitzero"`     // of the config it was made under
	Time           int64  `json:"t"`                // when it was collected, ns
	DurationUS     int64  `json:"dur_us,omitzero"`  // how long that took
	Seq            uint64 `json:"seq,omitzero"`
	Digest         Digest `json:"digest,omitzero"` // DigestOf the encoded data, all parts joined

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
	if p.Parts > maxParts || p.Part > p.Parts || p.Parts > 0 && p.Part == 0 {
		return &ControlError{ControlRange, "part", fmt.Sprintf("%d of %d", p.Part, p.Parts)}
	}
	if p.Parts == 0 && p.Data == nil && p.Error == nil {
		return &ControlError{ControlRequired, "data", "neither data nor an error"}
	}
	return nil
}

// Chunk is a part of encoded data: bytes in msgpack, text in JSON.
type Chunk []byte

// MarshalText returns c, which a part of data in JSON is.
func (c Chunk) MarshalText() ([]byte, error) {
	if !utf8.Valid(c) {
		return nil, errors.New("part of data in msgpack cannot travel as JSON")
	}
	return c, nil
}

func (c Chunk) pack(w *controlWriter) error {
	w.bin(c)
	return nil
}

func (c *Chunk) unpack(r *controlReader) error {
	it := r.peek()
	if it.kind != itemBin && it.kind != itemStr {
		return wrongType("a part of encoded data", it)
	}
	*c = bytes.Clone(r.take(it))
	return nil
}

// Limits of plugin data.
const (
	MaxPluginData = 8 << 20 // bytes of encoded data, all parts joined
	chunkSize     = 240 << 10
	chunkSizeJSON = 120 << 10 // quotes in it are escaped
	maxParts      = 128
	joinedValues  = 400_000
)

// Split encodes the data and returns the messages that carry them: one, or as many as the size of a message wants.
// It sets the digest of each.
func (p PluginData) Split(enc Encoding) ([]PluginData, error) {
	if p.Data == nil {
		return []PluginData{p}, nil
	}
	data, err := p.Data.Encode(enc)
	if err != nil {
		return nil, under("data", err)
	}
	if len(data) > MaxPluginData {
		return nil, &ControlError{ControlLimit, "data", fmt.Sprintf("%d bytes, at most %d are taken", len(data), MaxPluginData)}
	}
	p.Digest = DigestOf(data)
	if len(data) <= chunkSize {
		return []PluginData{p}, nil
	}
	if enc == JSON {
		return p.cut(data, chunkSizeJSON), nil
	}
	return p.cut(data, chunkSize), nil
}

// cut returns the parts for data, none longer than size. Where data are text it splits no character.
func (p PluginData) cut(data []byte, size int) []PluginData {
	p.Data = nil
	var parts []PluginData
	for len(data) > 0 {
		n := min(size, len(data))
		for n > size-utf8.UTFMax && n < len(data) && !utf8.RuneStart(data[n]) {
			n--
		}
		p.Chunk, data = data[:n:n], data[n:]
		p.Part++
		parts = append(parts, p)
	}
	for i := range parts {
		parts[i].Parts = p.Part
	}
	return parts
}

// JoinPluginData puts parts, in order and all of one encoding, together again. It refuses what is not complete, not of
// one piece, or has another digest than it says.
func JoinPluginData(parts []PluginData) (PluginData, error) {
	if len(parts) == 0 || parts[0].Parts != uint64(len(parts)) {
		return PluginData{}, &ControlError{ControlRequired, "part", fmt.Sprintf("%d parts came", len(parts))}
	}
	whole := parts[0]
	var data []byte
	for i, p := range parts {
		if p.Part != uint64(i+1) || p.Parts != whole.Parts || p.Digest != whole.Digest {
			return PluginData{}, &ControlError{ControlRange, "part", fmt.Sprintf("%d of %d does not belong in place %d", p.Part, p.Parts, i+1)}
		}
		data = append(data, p.Chunk...)
	}
	if whole.Digest != DigestOf(data) {
		return PluginData{}, &ControlError{ControlRange, "digest", "the parts joined have another one"}
	}
	packed, _, err := guarded(data, bounds{MaxPluginData, maxDepth, joinedValues})
	if err != nil {
		return PluginData{}, under("data", err)
	}
	whole.Chunk, whole.Part, whole.Parts = nil, 0, 0
	r := controlReader{packed}
	return whole, r.into(&whole.Data)
}

// DecodePluginData decodes and checks a PLG in either encoding.
func DecodePluginData(body []byte) (PluginData, Encoding, error) {
	return decodeControl[PluginData](body)
}
