package bustest

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/pacewire/pacewire/bus/embedded"
)

// AnswerTo stores a message on subject as a user with a password, and has the bus send its acknowledgement to another subject: whoever
// may publish to a stream can do that, as no right of NATS says where answers go.
func (b *Bus) AnswerTo(t testing.TB, g embedded.Grant, subject, answer string) {
	t.Helper()
	nc, err := nats.Connect(b.URL, nats.UserInfo(g.User, g.Password), nats.NoReconnect(), nats.Timeout(startWait))
	if err != nil {
		t.Fatalf("bustest: %v", err)
	}
	defer nc.Close()
	if err = nc.PublishRequest(subject, answer, []byte("x")); err == nil {
		err = nc.Flush()
	}
	if err == nil {
		err = nc.LastError()
	}
	if err != nil {
		t.Fatalf("bustest: %v", err)
	}
}
