/**
 * A TCP port of the loopback that nobody listens on at this moment.
 *
 * Below the ports that Linux gives to outgoing connections (32768 and up, ip_local_port_range):
 * whoever calls a guest that is just being reset may else be given the guest's own port, call
 * itself, and keep QEMU from it.
 *
 * Not promised: that it is still free when it is used.
 */
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

const FIRST = 10_240
const BEHIND_LAST = 32_768
const TRIES = 100

export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const port = randomInt(FIRST, BEHIND_LAST)
    if (await isFree(port)) return port
  }
  throw new Error('no free port')
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  } catch {
    return false
  }
  server.close()
  await once(server, 'close')
  return true
}
