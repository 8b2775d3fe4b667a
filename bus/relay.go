package bus

import "strings"

// Relay returns d as a message for another bus: the same subject, id, body and
// headers. The body stays the delivery's.
func (d *Delivery) Relay() Message {
	m := Message{Subject: d.Subject, ID: d.ID, ContentType: d.ContentType, Body: d.Body}
	for key, values := range d.msg.Header {
		if key == headerType || len(values) == 0 || strings.HasPrefix(key, "Nats-") {
			continue // the first has a place of its own, the others are orders to a server
		}
		if m.Header == nil {
			m.Header = make(map[string]string)
		}
		m.Header[key] = values[0]
	}
	return m
}
