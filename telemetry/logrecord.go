package telemetry

// LogRecord is one line of a plugin's log, on its way to whoever follows it.
type LogRecord struct {
	Level   string         `json:"level"`          // debug, info, warn, error
	Message string         `json:"msg,omitzero"`   // constant and short
	Time    int64          `json:"t"`              // ns since the epoch
	Attrs   map[string]any `json:"attrs,omitzero"` // the facts
}

func (LogRecord) bounds() bounds { return logBounds }

func (LogRecord) check() error { return nil }

// DecodeLogRecord decodes and checks a log record in either encoding.
func DecodeLogRecord(body []byte) (LogRecord, Encoding, error) { return decodeControl[LogRecord](body) }
