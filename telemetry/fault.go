package telemetry

import "reflect"

// Fault is an error as it travels: a class for programs, a sentence for people.
// A sender that knows no classes may send the sentence alone; it is read as FaultInternal.
type Fault struct {
	Code    string `json:"code"`
	Message string `json:"message,omitzero"`
	AgeMS   int64  `json:"age_ms,omitzero"` // how long ago
}

// Codes of faults that plugin data carry.
const (
	FaultTimeout    = "timeout"
	FaultDependency = "dependency" // a program or library it needs is missing
	FaultDenied     = "denied"
	FaultNotFound   = "not_found"
	FaultInvalid    = "invalid"
	FaultInternal   = "internal"
)

func (f *Fault) unpack(r *controlReader) error {
	it := r.peek()
	if it.kind != itemStr {
		return r.fields(reflect.ValueOf(f).Elem())
	}
	*f = Fault{Code: FaultInternal, Message: string(r.take(it))}
	return nil
}
