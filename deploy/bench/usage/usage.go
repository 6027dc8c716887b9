// Package usage reads what a running process has used of the processor and of the memory.
package usage
