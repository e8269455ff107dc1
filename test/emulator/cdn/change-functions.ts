import type { JsonObject } from '../json.js'
import { metadataOf } from '../pop/metadata.js'
import type { PopOperation } from '../pop/operation.js'
import type { Given } from '../pop/parameters.js'
import { PopRefusal } from '../pop/refusal.js'
import type { Domain } from './domain.js'
import type { DomainStore } from './domain-store.js'
import { checkState, domainNotFound, domainResource, existingDomain } from './existing-domain.js'
import type { Flavour } from './flavour.js'
import { type EdgeFunction, flawOf, opposites } from './functions.js'

const malformed = (why: string): PopRefusal =>
  new PopRefusal(400, 'InvalidFunctions.Malformed', `The specified Functions is invalid: ${why}.`)

// The code for too many is in no document; that of another call of the product.
const namesOf = (given: Given): readonly string[] => {
  const names = (given['DomainNames'] ?? '').split(',')
  if (names.length > 50) throw new PopRefusal(400, 'DomainNameOverLimit', 'The number of domain names exceeds 50.')
  return names
}

const resources = (given: Given): readonly string[] =>
  (given['DomainNames'] ?? '').split(',').map((name) => `domain/${name}`)

const changeable = (store: DomainStore, given: Given): readonly Domain[] =>
  namesOf(given).map((name) => {
    const domain = store.domain(name)
    if (domain === undefined) throw domainNotFound()
    checkState(domain)
    return domain
  })

type Sent = Omit<EdgeFunction, 'id'> & { readonly id: string | undefined }

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const textOrNumber = (value: unknown): string | undefined =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : undefined

const readArgument = (value: unknown): readonly [string, string] => {
  if (!isObject(value)) throw malformed('an argument is no object')
  const { argName, argValue } = value
  if (typeof argName !== 'string' || typeof argValue !== 'string') throw malformed('an argument is no text')
  return [argName, argValue]
}

const readFunction = (value: unknown): Sent => {
  if (!isObject(value)) throw malformed('a function is no object')
  const { functionName: name, functionArgs, configId, parentId, ...other } = value
  if (typeof name !== 'string' || !Array.isArray(functionArgs)) throw malformed('a name or the arguments are missing')
  if (Object.keys(other).length > 0) throw malformed(`what is ${Object.keys(other)[0]}`)
  const args = Object.fromEntries(functionArgs.map(readArgument))
  if (Object.keys(args).length !== functionArgs.length) throw malformed('an argument is there twice')
  const flaw = flawOf({ name, args })
  if (flaw !== undefined) throw malformed(flaw)
  return { id: textOrNumber(configId), name, args, parentId: textOrNumber(parentId) }
}

const readFunctions = (text: string): readonly Sent[] => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw malformed('no JSON')
  }
  if (!Array.isArray(value) || value.length === 0) throw malformed('no list')
  return value.map(readFunction)
}

const businessError = (why: string): PopRefusal => new PopRefusal(400, 'BatchSetBusinessError', `${why}.`)

/** Without an id, the one that is there under the same rule is replaced. */
const merged = (store: DomainStore, functions: readonly EdgeFunction[], sent: Sent): EdgeFunction => {
  const before = functions.find((one) =>
    sent.id === undefined ? one.name === sent.name && one.parentId === sent.parentId : one.id === sent.id,
  )
  if (sent.id !== undefined && before?.name !== sent.name) throw businessError(`there is no ${sent.name} ${sent.id}`)
  const opposite = opposites[sent.name]
  if (functions.some(({ name }) => name === opposite)) throw businessError(`${sent.name} conflicts with ${opposite}`)
  if (store.refuses?.(sent)) throw businessError(`${sent.name} is not taken`)
  return { ...sent, id: before?.id ?? store.newId(), parentId: sent.parentId ?? before?.parentId }
}

export const setFunctions = ({ product, operations }: Flavour, store: DomainStore): PopOperation => ({
  name: operations.setFunctions,
  metadata: metadataOf(product, operations.setFunctions),
  resources,
  perform({ given }) {
    const sent = readFunctions(given['Functions'] ?? '')
    if (store.oneAtATime && sent.length > 1) throw businessError('one after the other')
    const models: JsonObject[] = []
    // All or nothing: what is refused for one domain is done for none.
    const changes = changeable(store, given).map((domain) => {
      let functions = domain.functions
      for (const one of sent) {
        const changed = merged(store, functions, one)
        functions = [...functions.filter(({ id }) => id !== changed.id), changed]
        // A number here, and text where it is read.
        models.push({ ConfigId: Number(changed.id), DomainName: domain.name, FunctionName: one.name })
      }
      return { domain, functions }
    })
    for (const { domain, functions } of changes) domain.configure(functions, store.configuringMs)
    return { DomainConfigList: { DomainConfigModel: models } }
  },
})

export const deleteFunctions = ({ product, operations }: Flavour, store: DomainStore): PopOperation => ({
  name: operations.deleteFunctions,
  metadata: metadataOf(product, operations.deleteFunctions),
  resources,
  perform({ given }) {
    const names = (given['FunctionNames'] ?? '').split(',')
    for (const domain of changeable(store, given)) {
      const left = domain.functions.filter(({ name }) => !names.includes(name))
      domain.configure(left, store.configuringMs)
    }
    return {}
  },
})

export const deleteFunction = ({ product, operations }: Flavour, store: DomainStore): PopOperation => ({
  name: operations.deleteFunction,
  metadata: metadataOf(product, operations.deleteFunction),
  resources: domainResource,
  perform({ given }) {
    const domain = existingDomain(store, given)
    checkState(domain)
    const ids = (given['ConfigId'] ?? '').split(',')
    // What the product says of one that is not there is in no document.
    const unknown = ids.find((id) => !domain.functions.some((one) => one.id === id))
    if (unknown !== undefined) throw new PopRefusal(400, 'InvalidConfigId.NotFound', `There is no ${unknown}.`)
    const left = domain.functions.filter(({ id }) => !ids.includes(id))
    domain.configure(left, store.configuringMs)
    return {}
  },
})
