package telemetry

// LogLine is one line that a plugin printed, or that its agent has to say about it.
type LogLine struct {
	Seq    uint64 `json:"seq"`           // grows by one with each line of the plugin
	Time   int64  `json:"t"`             // ns
	Stream string `json:"stream"`        // stdout, stderr, or agent
	Level  string `json:"level"`         // debug, info, warn, error
	PID    int64  `json:"pid,omitzero"`  // of the process that printed it
	Text   string `json:"text,omitzero"` // empty: a blank line
}

// LogPage is the payload of the reply to logs.
type LogPage struct {
	Lines []LogLine `json:"lines"`
	Next  uint64    `json:"next"`          // what to ask for next, as args.after
	Lost  uint64    `json:"lost,omitzero"` // lines after args.after that were pushed out before they were asked for
	More  bool      `json:"more,omitzero"` // there are more already
}

func (LogPage) bounds() bounds { return ctlBounds }

func (LogPage) check() error { return nil }

// DecodeLogPage decodes and checks the payload of a reply to logs.
func DecodeLogPage(body []byte) (LogPage, Encoding, error) { return decodeControl[LogPage](body) }
