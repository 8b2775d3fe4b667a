package plugin

import "context"

func (c *command) diagnose(ctx context.Context) error { return nil }
