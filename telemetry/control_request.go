package telemetry

// Modes of a refresh.
const (
	ModeCached  = "cached"  // send again what is known
	ModeCollect = "collect" // clear the caches and collect again first
)

// CtlRequest asks a plugin or an agent to do something; the subject's last token is the verb.
// An empty body is never a command: ID is required, so that a stray message cannot pass for one.
type CtlRequest struct {
	ID       string         `json:"id"`
	Want     []string       `json:"want,omitzero"`       // refresh: "*", or "plugin/type" each; empty: only the list
	Mode     string         `json:"mode,omitzero"`       // refresh: ModeCached (default) or ModeCollect
	MaxAgeMS int64          `json:"max_age_ms,omitzero"` // refresh: facts older than this are collected again
	Args     map[string]any `json:"args,omitzero"`       // of the verb
}

// Text returns an argument that is a text; "" when it is none.
func (r CtlRequest) Text(key string) string {
	s, _ := r.Args[key].(string)
	return s
}

// Number returns an argument that is a number, and whether it is one.
func (r CtlRequest) Number(key string) (int64, bool) {
	switch n := r.Args[key].(type) {
	case int64:
		return n, true
	case uint64:
		return int64(min(n, 1<<62)), true
	case float64: // of JSON
		return int64(max(-1<<62, min(n, 1<<62))), true
	}
	return 0, false
}

// CtlReply answers a CtlRequest.
type CtlReply struct {
	ID      string `json:"id"`
	OK      bool   `json:"ok"`
	Error   *Fault `json:"error,omitzero"`   // why not OK
	Payload Raw    `json:"payload,omitzero"` // RefreshManifest for refresh, Stats for ping
}

func (CtlRequest) bounds() bounds { return ctlBounds }

func (r CtlRequest) check() error {
	if r.Mode != "" && r.Mode != ModeCached && r.Mode != ModeCollect {
		return &ControlError{ControlRange, "mode", quote(r.Mode) + ` is neither cached nor collect`}
	}
	return checkCount("max_age_ms", r.MaxAgeMS, decadesMS)
}

func (CtlReply) bounds() bounds { return ctlBounds }

func (CtlReply) check() error { return nil }

// DecodeCtlRequest decodes and checks a request in either encoding.
func DecodeCtlRequest(body []byte) (CtlRequest, Encoding, error) {
	return decodeControl[CtlRequest](body)
}

// DecodeCtlReply decodes and checks a reply in either encoding. Its Payload is decoded by the Decode function of its type.
func DecodeCtlReply(body []byte) (CtlReply, Encoding, error) { return decodeControl[CtlReply](body) }
