import { type Static, Type } from '../typebox.ts';
import { ErrorBody } from './api.ts';

/** What only the service sees of a cluster's surroundings; `walden check` asks for it. */
export const Inspection = Type.Object({
  cluster: Type.String(),
  /** The user it runs as: a name, or a number without one. */
  user: Type.String(),
  /** Whether it can read the data directory of the node on its host; null where the configuration has none. */
  dataDirectory: Type.Union([
    Type.Object({ path: Type.String(), error: Type.Union([ErrorBody, Type.Null()]) }),
    Type.Null(),
  ]),
  /** Whether each repository answers, and is one; as far as its own credentials let it see. */
  repositories: Type.Array(
    Type.Object({
      name: Type.String(),
      required: Type.Boolean(),
      milliseconds: Type.Number(),
      error: Type.Union([ErrorBody, Type.Null()]),
    }),
  ),
  rooms: Type.Array(
    Type.Object({
      what: Type.String(),
      path: Type.String(),
      freeBytes: Type.Integer(),
      totalBytes: Type.Integer(),
    }),
  ),
});

/** In which repositories of a cluster a WAL file is. */
export const WalPlaces = Type.Object({ name: Type.String(), repositories: Type.Array(Type.String()) });

export type InspectionDocument = Static<typeof Inspection>;
export type WalPlacesDocument = Static<typeof WalPlaces>;
