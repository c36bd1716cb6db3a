/**
 * Ending a process group for good.
 *
 * 1. SIGTERM to the group, so that its programs can clean up.
 * 2. Look into /proc until none of the group is left; one that only waits to be collected by its
 *    parent (a zombie) counts as ended, because in a container nobody may collect it.
 * 3. SIGKILL after the grace time, then wait a little longer.
 *
 * Not promised: the end of a process that the kernel cannot kill (it waits for a dead disk).
 */

import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

const POLL_MS = 20
const KILLED_MS = 5_000

/** Ends the group; resolves when it is gone, at the latest 5 s after the grace time. */
export async function endGroup(groupId: number, graceMs: number): Promise<void> {
  send(groupId, 'SIGTERM')
  const killMs = performance.now() + graceMs
  while (await isRunning(groupId)) {
    const now = performance.now()
    if (now > killMs + KILLED_MS) return
    if (now > killMs) send(groupId, 'SIGKILL')
    await sleep(POLL_MS)
  }
}

async function isRunning(groupId: number): Promise<boolean> {
  const names = await readdir('/proc')
  const states = await Promise.all(names.filter((name) => /^\d+$/.test(name)).map(stateOf))
  return states.some((state) => state?.groupId === groupId && state.letter !== 'Z')
}

/** `PID (NAME) STATE PPID PGRP ...`, proc_pid_stat(5); a name may hold anything. */
async function stateOf(pid: string) {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  const [letter, , group] = text?.slice(text.lastIndexOf(')') + 2).split(' ') ?? []
  return letter === undefined ? undefined : { letter, groupId: Number(group) }
}

function send(groupId: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-groupId, signal)
  } catch {
    // Nothing is left to be told.
  }
}
