package plugin

import "context"

// Persist does f again and again as long as its error asks for it by After, and waits as long. Each such error is told as that of a
// call is. Persist ends with ctx, or with what else f returns.
func (s *Session) Persist(ctx context.Context, f func(ctx context.Context) error) error {
	for {
		err := guard(func() error { return f(ctx) })
		rest := RetryAfter(err)
		if rest == 0 || s.once {
			return err
		}
		_ = s.Note(err) // not one for good
		if !sleep(ctx, rest) {
			return err
		}
	}
}
