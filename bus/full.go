package bus

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// fullAnswer is what a server says that has no room within its limits. One that has no room on its disk says nothing.
var fullAnswer = []byte(`{"error":{"code":503,"err_code":10023,"description":"the disk of the bus is full"}}`)

// TellFull answers what is published to the streams until stop is called, in the place of a server whose disk is full: publishers
// then know why nothing is stored, and try again at their leisure. What they are told costs no message, whatever the server
// does meanwhile: only its own answer is an acknowledgement. Only who runs that server calls it.
func (c *Conn) TellFull() (stop func(), err error) {
	var subs []*nats.Subscription
	stop = func() {
		for _, s := range subs {
			_ = s.Unsubscribe() // fails only when the connection is closed
		}
	}
	for _, subject := range []string{AreaMetrics + ".>", AreaEvents + ".>", AreaDead + ".>"} {
		s, err := c.nc.Subscribe(prefix+subject, func(m *nats.Msg) {
			if _, inbox := inboxUser(m.Reply); inbox { // any other subject would make us say there what somebody else may not
				_ = m.Respond(fullAnswer) // away: the publisher sends again
			}
		})
		if err != nil {
			stop()
			return nil, fmt.Errorf("tell that the disk is full: %w", translate(err))
		}
		subs = append(subs, s)
	}
	if err := c.nc.FlushTimeout(flushWait); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		c.log.Debug("publishers hear late that the disk is full", "err", err)
	}
	return stop, nil
}
