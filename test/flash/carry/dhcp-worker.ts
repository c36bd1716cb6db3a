/**
 * Waits, inside the network namespace that it is started in, for a DHCP client's first message and
 * prints its option 61 (client identifier, RFC 2132) in hex.
 */
import { createSocket } from 'node:dgram'

const SERVER_PORT = 67
/** Behind the BOOTP fields and the magic cookie (RFC 2131). */
const OPTIONS_OFFSET = 240
const PAD = 0
const END = 255
const CLIENT_IDENTIFIER = 61

function option(message: Buffer, wanted: number): Buffer | undefined {
  let at = OPTIONS_OFFSET
  while (at < message.length && message[at] !== END) {
    if (message[at] === PAD) {
      at += 1
      continue
    }
    const length = message[at + 1] ?? 0
    if (message[at] === wanted) return message.subarray(at + 2, at + 2 + length)
    at += 2 + length
  }
  return undefined
}

const socket = createSocket('udp4')
// A client that says nothing must not leave this process behind.
const patience = setTimeout(() => socket.close(), 60_000)
socket.on('message', (message) => {
  process.stdout.write(JSON.stringify(option(message, CLIENT_IDENTIFIER)?.toString('hex') ?? ''))
  clearTimeout(patience)
  socket.close()
})
socket.bind(SERVER_PORT)
