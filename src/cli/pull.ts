import { resolve } from 'node:path'
import { defaultCredentials } from '../aliyun/credentials.js'
import { archiveName } from '../certificate/bundle.js'
import { CertError, toCertError } from '../errors.js'
import { HttpConnections } from '../http-connections.js'
import { type Pulled, type PullOptions, type PullPlan, planPull, pull } from '../pipeline/pull.js'
import { commandWords } from '../targets/certificate-command.js'
import { type ProvenSet, proveSet, readLatest } from '../targets/layout-reader.js'
import type { LayoutSource } from '../targets/layout-source.js'
import { currentLink, PulledFolder } from '../targets/pulled-folder.js'
import { defineCommand, exitCodes, type Surroundings } from './command.js'
import { commonFlags, reachFlags } from './common-flags.js'
import { fileOwner, modeFlag } from './file-owner.js'
import { text, toggle, type Values } from './flag.js'
import { certificateJson, errorJson, printJson } from './json.js'
import { pullExec } from './pull-exec.js'
import { pullSource, pullSourceFlags } from './pull-source.js'
import { targetFlags } from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'

const name = 'pull'

const flags = {
  to: text('the folder: DIR/current leads to the certificate in use', { placeholder: 'DIR' }),
  ...pullSourceFlags,
  exec: text('run this when something has changed, without a shell, such as "nginx -s reload"', {
    placeholder: 'COMMAND',
  }),
  'exec-shell': targetFlags['exec-shell'],
  'exec-timeout': targetFlags['exec-timeout'],
  owner: text('whose the files are: a user, or USER:GROUP (as root)', { placeholder: 'USER[:GROUP]' }),
  group: text('the group of the files', { placeholder: 'GROUP' }),
  mode: modeFlag,
  combined: toggle('write combined.pem as well: fullchain.pem and privkey.pem in one, as HAProxy takes it'),
  ...reachFlags,
  'dry-run': toggle('look at what is there, say what would be done, and write nothing'),
  ...commonFlags,
}

export const command = defineCommand({
  name,
  summary:
    'Fetches the certificate that latest/ of a layout is about, proves it whole, writes it into a folder of its own and leads DIR/current to it. Runs a command where something has changed, and goes back where that fails. oss:GetObject is all that it needs.',
  flags,
  words: { usage: '[NAME]', most: 1 },
  examples: [
    [
      'acme-oss pull --bucket my-ssl-certs --region cn-hangzhou --prefix certs/example.com/ --to /etc/ssl/example.com --exec "nginx -s reload"',
      'from a bucket, again and again by a timer',
    ],
    [
      'acme-oss pull --directory /mnt/certs --to /etc/haproxy/certs --combined --group haproxy --mode 0640',
      'from a folder that acme-oss deploy --directory has written',
    ],
  ],
  run: async (values, surroundings, { words }) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    const connections = new HttpConnections()
    try {
      return await run(await readWish(values, words[0], connections, surroundings, terminal))
    } finally {
      connections.close()
    }
  },
})

type PullValues = Values<typeof flags>

interface Wish {
  readonly values: PullValues
  readonly source: LayoutSource
  /** What the certificate is filed under in the configuration. */
  readonly entry: string | undefined
  readonly folder: PulledFolder
  readonly words: readonly string[] | undefined
  readonly surroundings: Surroundings
  readonly terminal: Terminal
}

/** All that can be wrong with what was given is found before anything is reached for. @throws CertError USAGE, … */
const readWish = async (
  values: PullValues,
  entry: string | undefined,
  connections: HttpConnections,
  surroundings: Surroundings,
  terminal: Terminal,
): Promise<Wish> => {
  if (values.to === undefined) {
    throw new CertError('USAGE', 'nothing says where the certificate is to go', {
      hint: 'name a folder with --to, such as --to /etc/ssl/example.com',
    })
  }
  const { environment, now, signal, userId } = surroundings
  const source = await pullSource(values, entry, surroundings, {
    credentials: defaultCredentials(environment),
    connections,
    timeout: values.timeout * 1000,
    now,
    trace: (line) => terminal.detail(line),
  })
  const owner = await fileOwner(values.owner, values.group, environment, signal)
  const rights = { mode: values.mode, owner }
  const folder = new PulledFolder({ directory: resolve(values.to), rights, combined: values.combined, userId })
  return { values, source, entry, folder, words: execWords(values), surroundings, terminal }
}

/** @throws CertError USAGE */
const execWords = ({ exec, 'exec-shell': shell }: PullValues): readonly string[] | undefined => {
  if (exec !== undefined) return commandWords(exec, shell)
  if (!shell) return undefined
  throw new CertError('USAGE', '--exec-shell is about a command, and none is given', { hint: 'add --exec' })
}

const run = async (wish: Wish): Promise<number> => {
  const { values, folder, surroundings, terminal } = wish
  const { signal } = surroundings
  try {
    if (values['dry-run']) return showPlan(wish, await planPull(optionsOf(wish)))
    const onWait = (owner: string) => terminal.progress(`waiting for ${owner}, which pulls into ${folder.directory}`)
    return show(wish, await folder.locked({ signal, onWait }, () => pull(optionsOf(wish))))
  } catch (thrown) {
    const error = toCertError(thrown)
    if (error.code === 'INTERNAL') throw error
    return showFailure(wish, error)
  }
}

const optionsOf = ({ values, source, entry, folder, words, surroundings, terminal }: Wish): PullOptions<ProvenSet> => {
  const { now, signal } = surroundings
  const reading = { name: entry, now }
  return {
    place: folder,
    newest: async () => {
      const { set, from } = await readLatest(
        source,
        {
          ...reading,
          timeout: values.timeout * 1000,
          known: async (manifest) => {
            const files = await folder.read(manifest)
            return files && proveSet(`${folder.path(folder.folderOf({ manifest }))}/`, manifest, files, reading)
          },
          onWait: (error) => terminal.detail(`${error.message}; looking again`),
        },
        signal,
      )
      return { set, isHere: from === 'known' }
    },
    exec:
      words &&
      pullExec({
        words,
        path: (one) => folder.path(one),
        timeout: values['exec-timeout'] * 1000,
        environment: surroundings.environment,
        name: entry,
        signal,
        onStart: (line) => terminal.progress(line),
      }),
    now,
  }
}

interface Shown {
  readonly status: 'changed' | 'unchanged' | 'failed' | 'planned'
  readonly set?: ProvenSet
  readonly folder?: string | undefined
  readonly executed: boolean
  readonly warnings: readonly string[]
  readonly error?: CertError | undefined
}

const resultJson = ({ source, folder }: Wish, shown: Shown) => ({
  schema: 'acme-oss/1',
  command: name,
  ok: shown.status !== 'failed',
  status: shown.status,
  certificate: shown.set === undefined ? null : certificateJson(shown.set.bundle),
  from: source.name,
  to: folder.path(currentLink),
  folder: shown.folder === undefined ? null : folder.path(shown.folder),
  executed: shown.executed,
  warnings: shown.warnings,
  error: shown.error === undefined ? null : errorJson(shown.error),
})

const show = (wish: Wish, pulled: Pulled<ProvenSet>): number => {
  const { terminal, values, folder } = wish
  for (const warning of pulled.warnings) terminal.warning(warning)
  if (values.json) terminal.result(printJson(resultJson(wish, pulled)))
  const { error } = pulled
  if (error !== undefined) {
    if (!values.json) terminal.failure(error.message, error.hint)
    return exitCodes.failed
  }
  if (!values.json) {
    const does = pulled.status === 'unchanged' ? 'unchanged' : 'pulled'
    terminal.result(`${does}: ${about(pulled.set)} is in use: ${folder.path(currentLink)}`)
  }
  return exitCodes.done
}

const showPlan = (wish: Wish, { set, folder, fills, swaps, executes, warnings }: PullPlan<ProvenSet>): number => {
  const { terminal, values } = wish
  const status = fills || swaps || executes ? 'planned' : 'unchanged'
  for (const warning of warnings) terminal.warning(warning)
  if (values.json) terminal.result(printJson(resultJson(wish, { status, set, folder, executed: false, warnings })))
  else if (status === 'unchanged') terminal.result(`unchanged: ${about(set)} is in use already`)
  else {
    const path = wish.folder.path(folder)
    if (fills) terminal.result(`would write ${about(set)} into ${path}/`)
    if (swaps) terminal.result(`would lead ${wish.folder.path(currentLink)} to it`)
    if (executes) terminal.result(`would run ${values.exec ?? ''}`)
  }
  return exitCodes.done
}

const showFailure = (wish: Wish, error: CertError): number => {
  const { terminal, values } = wish
  if (values.json) {
    terminal.result(printJson(resultJson(wish, { status: 'failed', executed: false, warnings: [], error })))
  } else terminal.failure(error.message, error.hint)
  return exitCodes.failed
}

const about = ({ bundle }: ProvenSet): string =>
  `${bundle.name} (${archiveName(bundle)}, until ${bundle.notAfter.toISOString().slice(0, 10)})`
