// Package usage reads the processor time and the peak memory of a running process.
package usage
