import { constants } from 'node:crypto'
import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import type { TlsOptions } from 'node:tls'
import { firstRecord, serverNameIn } from './client-hello.js'

/** Which versions a host speaks, such as `1.2`; undefined leaves it to Node. */
export type VersionsOf = (host: string) => readonly string[] | undefined

const refusing: readonly (readonly [string, number])[] = [
  ['1.0', constants.SSL_OP_NO_TLSv1],
  ['1.1', constants.SSL_OP_NO_TLSv1_1],
  ['1.2', constants.SSL_OP_NO_TLSv1_2],
  ['1.3', constants.SSL_OP_NO_TLSv1_3],
]

/** Exactly these, however old. */
export const speaking = (versions: readonly string[] | undefined): TlsOptions =>
  versions === undefined
    ? {}
    : {
        minVersion: 'TLSv1',
        maxVersion: 'TLSv1.3',
        // Otherwise OpenSSL speaks none that is older than 1.2.
        ciphers: 'DEFAULT@SECLEVEL=0',
        secureOptions: refusing.reduce((all, [one, option]) => (versions.includes(one) ? all : all | option), 0),
      }

/**
 * Hands each connection to a server that speaks what its host does. The version is agreed on before any callback of the
 * TLS server is asked, so the name has to be read from outside.
 */
export const byVersions = (
  versionsOf: VersionsOf,
  make: (options: TlsOptions) => Server,
): ((socket: Socket) => Promise<void>) => {
  const servers = new Map<string, Server>()
  return async (socket) => {
    const host = await firstRecord(socket).then(serverNameIn, () => undefined)
    if (socket.destroyed) return
    const versions = host === undefined ? undefined : versionsOf(host)
    const key = versions?.join() ?? ''
    const server = servers.get(key) ?? make(speaking(versions))
    servers.set(key, server)
    server.emit('connection', socket)
  }
}
