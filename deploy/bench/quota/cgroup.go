package quota

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// mounts are the usual places of the hierarchies with the controller cpu: version 2, then version 1.
func mounts() []string {
	return []string{"/sys/fs/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}
}

// Group is a control group whose processes have the share of a memory size. Only Linux has control groups.
type Group struct{ dir string }

// New creates a group. It returns an error if this user may not create one with a quota.
func New(memoryMB int) (*Group, error) {
	var faults []error
	for _, mount := range mounts() {
		group, err := create(mount, memoryMB)
		if err == nil {
			return group, nil
		}
		faults = append(faults, err)
	}
	return nil, fmt.Errorf("create a control group with a quota: %w", errors.Join(faults...))
}

// create creates a group below a folder of a hierarchy.
func create(parent string, memoryMB int) (*Group, error) {
	dir, err := os.MkdirTemp(parent, fmt.Sprintf("bench-%d-", memoryMB))
	if err != nil {
		return nil, err
	}
	if err := limit(dir, memoryMB); err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	return &Group{dir}, nil
}

// limit sets the quota of the group in a folder.
func limit(dir string, memoryMB int) error {
	quota := strconv.FormatInt(perPeriod(memoryMB).Microseconds(), 10)
	period := strconv.FormatInt(Period.Microseconds(), 10)
	// The highest weight keeps other programs of the machine from taking a part of the quota.
	files := [][2]string{{"cpu.shares", "262144"}, {"cpu.cfs_period_us", period}, {"cpu.cfs_quota_us", quota}}
	if _, err := os.Stat(filepath.Join(dir, "cgroup.controllers")); err == nil { // version 2
		files = [][2]string{{"cpu.weight", "10000"}, {"cpu.max", quota + " " + period}}
	}
	for _, file := range files {
		if err := write(filepath.Join(dir, file[0]), file[1]); err != nil {
			return err
		}
	}
	return nil
}

// Add moves a process with all of its threads to the group.
func (g *Group) Add(pid int) error {
	if err := write(filepath.Join(g.dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
		return fmt.Errorf("limit the processor time: %w", err)
	}
	return nil
}

// Close deletes the group, whose processes must have ended.
func (g *Group) Close() error { return os.Remove(g.dir) }

// write writes to an existing file: control groups have no others.
func write(name, content string) error {
	file, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	return errors.Join(err, file.Close())
}
