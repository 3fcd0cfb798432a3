import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.util.ArrayList;
import java.util.List;

/** What DBeaver and Metabase ask of DatabaseMetaData, and how they read rows. */
public class Jdbc {
    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(arguments[0], arguments[1], arguments[2])) {
            DatabaseMetaData meta = connection.getMetaData();
            expect("product", meta.getDatabaseProductName().equals("PostgreSQL"));
            List<String> schemas = column(meta.getSchemas(), "TABLE_SCHEM");
            expect("schemas " + schemas, schemas.contains("public"));
            List<String> catalogs = column(meta.getCatalogs(), "TABLE_CAT");
            expect("catalogs " + catalogs, catalogs.contains("kizashi"));
            expect("table types", column(meta.getTableTypes(), "TABLE_TYPE").contains("TABLE"));
            List<String> tables = column(meta.getTables(null, "public", "%", new String[] {"TABLE"}), "TABLE_NAME");
            expect("tables " + tables, tables.contains("check_results") && tables.contains("samples"));
            List<String> views = column(meta.getTables(null, "public", "current%", new String[] {"VIEW"}), "TABLE_NAME");
            expect("views " + views, views.contains("current_state"));
            try (ResultSet columns = meta.getColumns(null, "public", "samples", "%")) {
                int count = 0;
                while (columns.next()) {
                    count++;
                    if (columns.getString("COLUMN_NAME").equals("slot")) {
                        expect("type " + columns.getString("TYPE_NAME"), columns.getString("TYPE_NAME").equals("timestamptz"));
                        String remarks = columns.getString("REMARKS");
                        expect("remarks " + remarks, remarks != null && remarks.contains("Slot"));
                    }
                }
                expect("columns " + count, count >= 8);
            }
            List<String> keys = column(meta.getPrimaryKeys(null, "public", "samples"), "COLUMN_NAME");
            expect("keys " + keys, keys.containsAll(List.of("tenant", "check_id", "metric", "slot")));
            meta.getImportedKeys(null, "public", "samples").close();
            meta.getIndexInfo(null, "public", "samples", false, false).close();
            meta.getTypeInfo().close();

            connection.setAutoCommit(false);
            try (PreparedStatement statement = connection.prepareStatement(
                    "select slot, value, tenant from samples where slot > ? and value >= ? limit ?")) {
                statement.setTimestamp(1, new Timestamp(System.currentTimeMillis() - 3_600_000));
                statement.setDouble(2, 0.0);
                statement.setInt(3, 40);
                statement.setFetchSize(7);
                for (int run = 0; run < 8; run++) {
                    int rows = 0;
                    try (ResultSet result = statement.executeQuery()) {
                        while (result.next()) {
                            rows++;
                            result.getTimestamp(1);
                            result.getDouble(2);
                        }
                    }
                    expect("rows " + rows, rows > 3);
                }
            }
            connection.commit();
            try (Statement statement = connection.createStatement()) {
                statement.executeQuery("select nothing from samples");
                expect("an error", false);
            } catch (SQLException error) {
                expect("state " + error.getSQLState(), error.getSQLState().equals("42703"));
            }
        }
        System.out.println("jdbc: all as expected");
    }

    private static List<String> column(ResultSet rows, String name) throws SQLException {
        List<String> values = new ArrayList<>();
        try (rows) {
            while (rows.next()) {
                values.add(rows.getString(name));
            }
        }
        return values;
    }

    private static void expect(String what, boolean holds) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
