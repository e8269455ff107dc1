import { metadataOf } from '../pop/metadata.js'
import type { PopOperation } from '../pop/operation.js'
import type { DomainStore } from './domain-store.js'
import { domainResource, existingDomain } from './existing-domain.js'
import type { Flavour } from './flavour.js'

export const describeFunctions = ({ product, operations }: Flavour, store: DomainStore): PopOperation => ({
  name: operations.describeFunctions,
  metadata: metadataOf(product, operations.describeFunctions),
  resources: domainResource,
  perform({ given }) {
    const domain = existingDomain(store, given)
    const names = given['FunctionNames']?.split(',')
    const found = domain.functions.filter(
      ({ id, name }) => (names?.includes(name) ?? true) && (given['ConfigId'] ?? id) === id,
    )
    return {
      DomainConfigs: {
        DomainConfig: found.map(({ id, name, args, parentId }) => ({
          ConfigId: id,
          FunctionName: name,
          FunctionArgs: {
            FunctionArg: Object.entries(args).map(([ArgName, ArgValue]) => ({ ArgName, ArgValue })),
          },
          ParentId: parentId,
          Status: domain.status === 'configuring' ? 'configuring' : 'success',
        })),
      },
    }
  },
})
