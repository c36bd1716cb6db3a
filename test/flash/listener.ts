/** A real server that is told states, and answers as a test wants. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

export interface Listener {
  readonly address: string
  readonly host: string
  readonly bodies: string[]
  readonly requests: IncomingMessage[]
}

export type Answer = (response: ServerResponse, number: number) => void

export const accept: Answer = (response) => {
  response.writeHead(204).end()
}

export async function listen(answer: Answer): Promise<Listener> {
  const bodies: string[] = []
  const requests: IncomingMessage[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      bodies.push(body)
      requests.push(request)
      answer(response, requests.length - 1)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  const host = `127.0.0.1:${port}`
  return { address: `http://${host}/hook/very-secret`, host, bodies, requests }
}
