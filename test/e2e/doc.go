// Package e2e tests the built program as real processes.
package e2e
