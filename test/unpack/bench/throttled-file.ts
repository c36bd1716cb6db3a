/**
 * A file that takes no more than so many bytes a second, also for direct writes: a file behind the
 * throttle of QEMU's storage daemon, exported by FUSE. It needs no part of the kernel but FUSE,
 * and works in containers that have /dev/fuse and may mount.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { open, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const STARTS_MS = 10_000

/** Whether this machine can throttle a file. */
export function canThrottle(): boolean {
  if (process.getuid?.() !== 0) return false
  const folders = (process.env.PATH ?? '').split(':')
  return readable('/dev/fuse') && folders.some((path) => readable(`${path}/qemu-storage-daemon`))
}

function readable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}

export interface ThrottledFile extends AsyncDisposable {
  readonly path: string
}

/** Makes one of `bytes` in `folder`; it is gone at the end of the block. */
export async function throttledFile(
  folder: string,
  bytes: number,
  bytesPerSecond: number,
): Promise<ThrottledFile> {
  const path = join(folder, 'throttled.img')
  const behind = join(folder, 'behind.img')
  await writeFile(path, '')
  await writeFile(behind, '')
  await truncate(behind, bytes)
  const daemon = spawn('qemu-storage-daemon', [
    ...['--object', `throttle-group,id=group,x-bps-write=${bytesPerSecond}`],
    ...['--blockdev', `driver=file,filename=${behind},node-name=file`],
    ...['--blockdev', 'driver=throttle,node-name=slow,throttle-group=group,file=file'],
    ...['--export', `type=fuse,id=fuse,node-name=slow,mountpoint=${path},writable=on`],
  ])
  const said: Buffer[] = []
  daemon.stderr.on('data', (chunk: Buffer) => said.push(chunk))
  const ended = once(daemon, 'exit')
  const stop = async (): Promise<void> => {
    daemon.kill('SIGTERM')
    await ended
  }
  const untilMs = performance.now() + STARTS_MS
  while (!(await readFile('/proc/self/mounts', 'utf8')).includes(` ${path} fuse `)) {
    if (daemon.exitCode === null && performance.now() < untilMs) await sleep(20)
    else {
      await stop()
      throw new Error(`qemu-storage-daemon: ${Buffer.concat(said).toString()}`)
    }
  }
  return { path, [Symbol.asyncDispose]: stop }
}

/** Whether the file may be written past the page cache; then its throttle is felt at once. */
export async function takesDirect(path: string): Promise<boolean> {
  const file = await open(path, constants.O_RDWR | constants.O_DIRECT).catch(() => undefined)
  await file?.close()
  return file !== undefined
}
