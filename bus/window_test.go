package bus

import "testing"

// A reply subject is used again only where no answer to the message before can come any more.
func TestReplyRenewed(t *testing.T) {
	f := func(sends, answers int, renewed bool) {
		t.Helper()
		var s slot
		s.init("_INBOX_x.", 0)
		before := s.msg.Reply
		s.sends, s.answers = sends, answers
		s.clear()
		if (s.msg.Reply != before) != renewed {
			t.Errorf("after %d sends and %d answers the subject is %s, it was %s", sends, answers, s.msg.Reply, before)
		}
	}
	f(1, 1, false)
	f(1, 0, true)
	f(1, 2, true)
	f(2, 1, true)
	f(2, 2, true) // two to the first, see TellFull: the second's is still to come
}
