import { createServer, type Server } from 'node:http'
import { CertError, systemCode } from '../errors.js'
import type { Solver } from './solver.js'

export interface StandaloneOptions {
  readonly port: number
}

/** Answers http-01 with a web server of its own, on IPv6 and IPv4, for as long as the order takes. */
export const standalone = ({ port }: StandaloneOptions): Solver => {
  const answers = new Map<string, string>()
  let server: Server | undefined
  return {
    answers: 'http-01',
    open: async () => {
      server = createServer((request, response) => {
        const answer = answers.get(request.url ?? '')
        response.writeHead(answer === undefined ? 404 : 200, {
          'content-type': 'application/octet-stream',
          // A CA comes once; a connection kept open would only keep the port busy.
          connection: 'close',
        })
        response.end(answer ?? 'not found\n')
      })
      await listen(server, port)
    },
    present: async ({ place, value }) => {
      answers.set(place, value)
    },
    cleanUp: async ({ place }) => {
      answers.delete(place)
    },
    close: async () => {
      server?.closeAllConnections()
      await new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())))
    },
  }
}

const listen = async (server: Server, port: number): Promise<void> => {
  try {
    await listenOn(server, port, '::')
  } catch (error) {
    // A machine without IPv6.
    if (!['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL'].includes(systemCode(error) ?? '')) throw explain(error, port)
    await listenOn(server, port, '0.0.0.0').catch((again: unknown) => {
      throw explain(again, port)
    })
  }
}

const listenOn = (server: Server, port: number, host: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host }, () => {
      server.off('error', reject)
      resolve()
    })
  })

const explain = (error: unknown, port: number): CertError => {
  const code = systemCode(error)
  const hints: Readonly<Record<string, string>> = {
    EADDRINUSE: `another program holds it (ss -ltnp 'sport = :${port}' shows which): use --solver webroot with that program's folder, or stop it while this runs`,
    EACCES: 'ports below 1024 are for root alone: run it as root, or lead port 80 to another with --http-port',
  }
  return new CertError(
    'SOLVER_FAILED',
    `the challenge server cannot listen on port ${port}: ${code ?? String(error)}`,
    {
      cause: error,
      hint: hints[code ?? ''] ?? 'use another --http-port, or --solver webroot',
    },
  )
}
