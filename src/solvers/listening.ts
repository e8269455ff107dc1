import type { Server, Socket } from 'node:net'
import { CertError, systemCode } from '../errors.js'

export interface ListeningOptions {
  readonly port: number
  /** With which the port was given. */
  readonly flag: '--http-port' | '--tls-port'
  /** What proves the names without this port, for the hint: `use --solver webroot with …`. */
  readonly instead: string
}

/**
 * Has a challenge server listen on IPv6 and IPv4. What comes back ends it, with all its connections.
 * @throws CertError SOLVER_FAILED
 */
export const listening = async (server: Server, options: ListeningOptions): Promise<() => Promise<void>> => {
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  try {
    await listenOn(server, options.port, '::')
  } catch (error) {
    // A machine without IPv6.
    if (!['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL'].includes(systemCode(error) ?? '')) throw explain(error, options)
    await listenOn(server, options.port, '0.0.0.0').catch((again: unknown) => {
      throw explain(again, options)
    })
  }
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve())
      for (const socket of open) socket.destroy()
    })
}

const listenOn = (server: Server, port: number, host: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    // On both, whatever the system's own rule for `::` is.
    server.listen({ port, host, ipv6Only: false }, () => {
      server.off('error', reject)
      resolve()
    })
  })

const explain = (error: unknown, { port, flag, instead }: ListeningOptions): CertError => {
  const code = systemCode(error)
  const usual = flag === '--http-port' ? 80 : 443
  const hints: Readonly<Record<string, string>> = {
    EADDRINUSE: `another program holds it (ss -ltnp 'sport = :${port}' shows which): ${instead}, or stop it while this runs`,
    EACCES: `ports below 1024 are for root alone: run it as root, or lead port ${usual} to another with ${flag}`,
  }
  return new CertError(
    'SOLVER_FAILED',
    `the challenge server cannot listen on port ${port}: ${code ?? String(error)}`,
    { cause: error, hint: hints[code ?? ''] ?? `use another ${flag}, or ${instead}` },
  )
}
