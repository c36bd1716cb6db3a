/**
 * Whether this is a host at all: in a container or a chroot there is nothing to replace.
 *
 * 1. `systemd-detect-virt -c` knows most; without it the marks that container engines leave.
 * 2. Another root than that of process 1 is a chroot.
 * 3. Whoever cannot be asked says nothing: the later checks still need a disk that is the root's.
 */

import { readFile, stat } from 'node:fs/promises'
import { exists } from '../../system/exists.ts'
import { run } from '../../system/run.ts'

const MARKS = ['/run/.containerenv', '/.dockerenv', '/run/systemd/container', '/proc/vz/veinfo']

/** The kind of container in a word (`docker`, `lxc`, `chroot`); `undefined` on a host. */
export async function findContainer(): Promise<string | undefined> {
  const detected = await detectVirt()
  if (detected !== undefined) return detected
  for (const mark of MARKS) {
    if (await exists(mark)) return `container (${mark})`
  }
  const environment = await readFile('/proc/1/environ', 'utf8').catch(() => '')
  const named = environment.split('\0').find((pair) => pair.startsWith('container='))
  if (named !== undefined) return named.slice('container='.length)
  return (await isChroot()) ? 'chroot' : undefined
}

async function detectVirt(): Promise<string | undefined> {
  const answer = await run(['systemd-detect-virt', '-c'], { statuses: [0, 1] }).catch(
    () => undefined,
  )
  const name = answer?.stdout.trim() ?? ''
  return name === '' || name === 'none' ? undefined : name
}

async function isChroot(): Promise<boolean> {
  const [own, first] = await Promise.all([stat('/'), stat('/proc/1/root').catch(() => undefined)])
  return first !== undefined && (own.ino !== first.ino || own.dev !== first.dev)
}
