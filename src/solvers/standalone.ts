import { createServer } from 'node:http'
import { listening } from './listening.js'
import type { Solver } from './solver.js'

export interface StandaloneOptions {
  readonly port: number
}

/** Answers http-01 with a web server of its own, on IPv6 and IPv4, for as long as the orders take. */
export const standalone = ({ port }: StandaloneOptions): Solver => {
  const answers = new Map<string, string>()
  let close: (() => Promise<void>) | undefined
  return {
    answers: 'http-01',
    open: async () => {
      const server = createServer((request, response) => {
        const answer = answers.get(pathOf(request.url ?? ''))
        const body = answer ?? 'not found\n'
        response.writeHead(answer === undefined ? 404 : 200, {
          'content-type': 'application/octet-stream',
          'content-length': Buffer.byteLength(body),
          // A CA comes once; a connection kept open would only keep the port busy.
          connection: 'close',
        })
        response.end(body)
      })
      close = await listening(server, {
        port,
        flag: '--http-port',
        instead: "use --solver webroot with that program's folder",
      })
    },
    present: async ({ place, value }) => {
      answers.set(place, value)
    },
    cleanUp: async ({ place }) => {
      answers.delete(place)
    },
    close: async () => close?.(),
  }
}

/** Whoever asks by way of a proxy may send the whole URL (RFC 9112, 3.2.2); the name in it says nothing to us. */
const pathOf = (target: string): string => target.replace(/^https?:\/\/[^/?]*/i, '').replace(/\?.*$/, '')
