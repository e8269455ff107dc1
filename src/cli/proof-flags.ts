import { parseNameServer } from '../name-server.js'
import { type ConnectTo, parseConnectTo } from '../proof/connect-to.js'
import { type Flag, list, text } from './flag.js'

const connect: Flag<readonly ConnectTo[]> = {
  ...list('dial this address instead of where DNS leads, for every host or for one', {
    placeholder: '[HOST=]ADDR:PORT',
  }),
  read: (given, name) => given.map((value) => parseConnectTo(value, `--${name}`)),
}

const words = text('ask this name server alone for addresses, CNAMEs and TXT records', {
  placeholder: 'ADDR[:PORT]',
})
const nameServer: Flag<string | undefined> = {
  ...words,
  read: (given, name) => {
    const value = words.read(given, name)
    return value === undefined ? undefined : parseNameServer(value, `--${name}`)
  },
}

/** How a look at what is served gets there. */
export const proofFlags = { connect, 'dns-resolver': nameServer }
