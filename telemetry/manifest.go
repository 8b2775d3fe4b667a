package telemetry

import "encoding/json"

// Manifest is what a plugin is, told in its hello.
type Manifest struct {
	Kind    string            `json:"kind"`             // collector, processor, publisher; agent or hub
	Program string            `json:"program"`          // what runs: filter, influx ...
	Version string            `json:"version,omitzero"` // of the program, semver
	API     uint64            `json:"api"`              // version of the contract between plugin and agent
	Summary string            `json:"summary,omitzero"` // one sentence
	Schema  json.RawMessage   `json:"schema,omitzero"`  // JSON Schema of its settings, defaults put in
	Catalog []Desc            `json:"catalog,omitzero"` // series it emits
	Routes  []Route           `json:"routes,omitzero"`  // HTTP routes it answers
	Labels  map[string]string `json:"labels,omitzero"`  // of the operator's choice
	OS      string            `json:"os,omitzero"`
	Arch    string            `json:"arch,omitzero"`
	Proxy   bool              `json:"proxy,omitzero"` // its points may be about other hosts
	Live    bool              `json:"live,omitzero"`  // takes a new config while it runs; else it is swapped for one
}

// Desc describes one series that a plugin emits.
type Desc struct {
	Series string            `json:"series"`
	Help   string            `json:"help,omitzero"`
	Tags   map[string]string `json:"tags,omitzero"`   // key to help
	Fields map[string]string `json:"fields,omitzero"` // name to unit
	Types  map[string]string `json:"types,omitzero"`  // name to type letter (f, i, u, b, s); absent: f
}

// Route declares an HTTP route that a plugin answers; the hub relays its requests over the bus. Zero values mean the defaults.
type Route struct {
	Path        string   `json:"path"`                  // ServeMux pattern without method and host
	Methods     []string `json:"methods,omitzero"`      // default GET; HEAD comes with it
	Auth        string   `json:"auth,omitzero"`         // account (default) or none
	Permission  string   `json:"permission,omitzero"`   // key that the account needs
	TimeoutMS   int64    `json:"timeout_ms,omitzero"`   // default 5 s, at most 60 s
	MaxRequest  int64    `json:"max_request,omitzero"`  // bytes, default 1 MiB
	MaxResponse int64    `json:"max_response,omitzero"` // bytes, default 8 MiB
	Stream      string   `json:"stream,omitzero"`       // none (default), request, response, both: works piece by piece
	SetCookie   bool     `json:"set_cookie,omitzero"`   // Set-Cookie may pass out
}

func (Manifest) bounds() bounds { return beatBounds }

func (Manifest) check() error { return nil }

// DecodeManifest decodes and checks a manifest that stands alone, as "--describe" prints it.
func DecodeManifest(body []byte) (Manifest, Encoding, error) { return decodeControl[Manifest](body) }
